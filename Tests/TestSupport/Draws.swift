internal import Foundation
public import GridModel

/// How often a property is tried with random input. `BACKFEED_DRAWS` says so for all of them; otherwise a few, the same
/// each time.
public enum Draws {
    /// `nil`: the environment does not say.
    public static let given = ProcessInfo.processInfo.environment["BACKFEED_DRAWS"].flatMap(Int.init)

    /// Seeds to try, `usual` of them without the environment; `BACKFEED_SEED` tries that one alone.
    public static func seeds(_ usual: Int) -> Range<UInt64> {
        if let one = ProcessInfo.processInfo.environment["BACKFEED_SEED"].flatMap(UInt64.init) { return one..<one + 1 }
        return 0..<UInt64(given ?? usual)
    }
}

extension Verdict {
    /// 0: approved; 1: with conditions; 2: not. A plan that cannot be assessed is no nearer to being switched than one that
    /// is rejected: less is better.
    public var distance: Int {
        switch verdict {
        case .approve: 0
        case .approveWithConditions: 1
        case .cannotAssess, .reject: 2
        }
    }
}
