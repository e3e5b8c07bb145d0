import DataDirectory
import Foundation
import GridModel
import Study
import Switching
import TestSupport
import Testing

/// The tables of a data directory in memory: changed there, written to a folder, and read back by the product's own reader.
struct DataFolder {
    struct Table {
        var columns: [String]
        var rows: [[String]]

        init(_ text: String) {
            let lines = text.split(separator: "\n").map {
                $0.split(separator: ",", omittingEmptySubsequences: false).map {
                    $0.trimmingCharacters(in: CharacterSet(charactersIn: "\r\""))
                }
            }
            columns = lines[0]
            rows = Array(lines.dropFirst())
        }

        var text: String { ([columns] + rows).map { $0.joined(separator: ",") + "\n" }.joined() }

        mutating func set(_ column: String, _ value: String, of id: String? = nil) {
            if !columns.contains(column) {
                columns.append(column)
                for row in rows.indices { rows[row].append("") }
            }
            let place = columns.firstIndex(of: column)!
            for row in rows.indices where id == nil || rows[row][0] == id { rows[row][place] = value }
        }

        mutating func drop(_ column: String) {
            guard let place = columns.firstIndex(of: column) else { return }
            columns.remove(at: place)
            for row in rows.indices { rows[row].remove(at: place) }
        }
    }

    /// By name; `factors` is that of the window.
    var tables: [String: Table]
    static let window = "w"
    init(tables: [String: Table]) { self.tables = tables }

    /// The network tables of a directory.
    init(directory: String) throws {
        tables = [:]
        for file in try FileManager.default.contentsOfDirectory(atPath: "\(directory)/network")
        where file.hasSuffix(".csv") {
            tables[String(file.dropLast(4))] = Table(
                try String(contentsOfFile: "\(directory)/network/\(file)", encoding: .utf8))
        }
    }

    static let noon = Timestamp("2026-06-21T12:00:00Z")!

    /// One day of quarter hours in which every column of factors is constant.
    static func factors(_ columns: [String: String] = ["one": "1.0"]) -> Table {
        let names = columns.keys.sorted()
        let row = names.map { columns[$0] ?? "" }.joined(separator: ",")
        return Table(names.joined(separator: ",") + "\n" + String(repeating: row + "\n", count: 96))
    }

    subscript(name: String) -> Table {
        get { tables[name]! }
        set { tables[name] = newValue }
    }

    func write(to folder: TemporaryFolder, only: String? = nil) throws {
        let directories = ["network", "profiles/\(Self.window)"].map { "\(folder.path)/\($0)" }
        for directory in directories {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        }
        for (name, table) in tables where only == nil || only == name {
            try table.text.write(
                toFile: "\(directories[name == "factors" || name == "ev_kw" ? 1 : 0])/\(name).csv", atomically: false,
                encoding: .utf8)
        }
        guard only == nil else { return }
        try """
        {"start": "2026-06-21T00:00:00Z", "end": "2026-06-22T00:00:00Z", "step_s": 900, "rows": 96}
        """.write(toFile: "\(directories[1])/window.json", atomically: false, encoding: .utf8)
        try """
        {"network_id": "test", "frequency_hz": 50}
        """.write(toFile: "\(directories[0])/manifest.json", atomically: false, encoding: .utf8)
    }

    static func verdict(
        _ plan: SwitchingPlan, in directory: String, window name: String = window, at time: Timestamp = noon,
        limits: SwitchingLimits = .init()
    ) throws -> Verdict {
        let network = try NetworkReader.read(directory).network
        let window = try ProfileWindow(directory: directory, name: name, network: network)
        let source = try WindowSnapshot(directory: directory, window: window, network: network)
        return PlanValidator(network, limits: limits, software: "test").validate(
            plan, source.at(time, holdHours: plan.holdHours))
    }

    /// - Throws: the mistakes that the directory is refused for.
    func verdict(_ plan: SwitchingPlan, limits: SwitchingLimits = .init()) throws -> Verdict {
        let folder = TemporaryFolder.made()
        try write(to: folder)
        return try Self.verdict(plan, in: folder.path, limits: limits)
    }

    func read() throws -> NetworkReader.Result {
        let folder = TemporaryFolder.made()
        try write(to: folder)
        return try NetworkReader.read(folder.path)
    }

    /// Mistakes of the directory, as a person reads them; empty: none.
    func mistakes(_ plan: SwitchingPlan = Self.transfer) -> String {
        do {
            _ = try verdict(plan)
            return ""
        } catch {
            return "\(error)"
        }
    }

    /// F2 takes all of F1 over.
    static let transfer = SwitchingPlan(
        id: "T", kind: .loadTransfer, policy: .init(allowTransientLoop: true),
        steps: [
            .init(sequence: 1, action: .close, element: "TIE"), .init(sequence: 2, action: .open, element: "CB-F1"),
        ])
}

extension TemporaryFolder {
    static func made() -> TemporaryFolder {
        do { return try TemporaryFolder() } catch { preconditionFailure("\(error)") }
    }
}

extension Verdict {
    func found(_ check: String, _ severity: Finding.Severity) -> [Finding] {
        findings.filter { $0.check == check && $0.severity == severity }
    }

    func isNotRun(_ check: String) -> Bool { notRun.contains { $0.check == check } }

    var told: String {
        "\(verdict)\n"
            + findings.map { "\($0.severity.rawValue) \($0.check) \($0.step ?? 0): \($0.message)" }
            .joined(separator: "\n") + "\nnot run: "
            + notRun.map { "\($0.check): \($0.reason)" }.joined(separator: "; ")
    }
}

extension DataFolder {
    /// The network of docs/first-steps.md with loads of case 07: two feeders with a tie.
    static func base(loads: (Int, Int, Int) = (8000, 3500, 7500)) -> DataFolder {
        DataFolder(tables: [
            "nodes": Table(
                """
                node_id,vn_kv,kind,substation_id
                HV,110,hv_busbar,S
                MV,20,mv_busbar,S
                A,20,mv_node,
                B,20,mv_node,
                C,20,mv_node,
                """),
            "lines": Table(
                """
                line_id,from_node,to_node,length_km,r_ohm,x_ohm,c_nf,max_i_a
                L-MV-A,MV,A,2,0.25,0.23,500,300
                L-A-B,A,B,2,0.25,0.23,500,300
                L-MV-C,MV,C,3,0.38,0.35,700,300
                L-B-C,B,C,1,0.13,0.12,250,300
                """),
            "transformers": Table(
                """
                transformer_id,hv_node,lv_node,sn_kva,vn_hv_kv,vn_lv_kv,vk_percent,vkr_percent,pfe_kw,i0_percent,shift_degree
                T1,HV,MV,25000,110,20,12,0.4,14,0.07,150
                """),
            "switches": Table(
                """
                switch_id,kind,connects,node_id,element_id,normal_state,role
                CB-F1,CB,line,MV,L-MV-A,closed,feeder_head
                CB-F2,CB,line,MV,L-MV-C,closed,feeder_head
                S-A,LBS,line,A,L-A-B,closed,sectionalizer
                TIE,LBS,line,C,L-B-C,open,tie
                """),
            "feeders": Table(
                """
                feeder_id,busbar_node,head_line_id,head_switch_id,head_rating_a
                F1,MV,L-MV-A,CB-F1,300
                F2,MV,L-MV-C,CB-F2,300
                """),
            "ties": Table(
                "tie_id,switch_id,line_id,open_at_node,far_node,feeder_a,feeder_b\nT01,TIE,L-B-C,C,B,F2,F1\n"),
            "loads": Table(
                """
                load_id,node_id,p_kw,q_kvar,n_customers,p_profile,q_profile
                LD-A,A,\(loads.0),\(loads.0 * 3 / 16),100,one,one
                LD-B,B,\(loads.1),\(loads.1 / 4),80,one,one
                LD-C,C,\(loads.2),\(loads.2 / 5),120,one,one
                """),
            "sources": Table("source_id,node_id,vm_pu\nSRC,HV,1.02\n"),
            "factors": factors(),
        ])
    }
}
