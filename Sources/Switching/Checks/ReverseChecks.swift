internal import GridModel
internal import PowerFlow

/// F1: what flows back through heads and banks when the plan is done.
enum ReverseChecks {
    static func run(_ context: CheckContext) -> [Finding] {
        heads(context) + banks(context)
    }

    /// W that may flow back through a feeder's head; `nil`: its rating is not known.
    static func limit(of feeder: Network.Feeder, _ context: CheckContext) -> Double? {
        let kilovolts =
            context.graph.nodeIndex[feeder.busbar].map { context.network.nodes[$0].nominalKilovolts } ?? 0
        return context.network.ratingVA(of: feeder, nominalKilovolts: kilovolts)
            .map { $0 * context.limits.headReverse / 100 }
    }

    /// W that may flow back through a bank.
    static func limit(of unit: Network.Transformer, _ context: CheckContext) -> Double {
        max(context.limits.bankReverse, context.limits.bankReverseShare * unit.ratedKVA * 1000)
    }

    /// A bank, and one that nothing protects when it feeds a fault above.
    static func isJudged(_ unit: Network.Transformer, _ context: CheckContext) -> Bool {
        guard let high = context.graph.nodeIndex[unit.highNode] else { return false }
        return context.network.nodes[high].kind == "hv_busbar" && unit.hasZeroSequenceProtection != true
    }

    /// W by which reverse flow must differ to count as another.
    static func tolerance(_ limit: Double, _ limits: SwitchingLimits) -> Double {
        max(limits.worseReverse, limit * limits.worseReverseShare)
    }

    /// As measured: more than a share of the head's rating, or where nothing flowed back before.
    private static func heads(_ context: CheckContext) -> [Finding] {
        guard let before = context.simulation.initial.flow(.now), let after = context.simulation.final.flow(.now) else {
            return []
        }
        let limits = context.limits
        let step = context.simulation.final.finding
        return context.network.feeders.enumerated().compactMap { place, feeder in
            guard let earlier = context.heads.flow(place, before)?.watts,
                let now = context.heads.flow(place, after)?.watts
            else {
                return Finding(
                    "F1", step: step, .unknown, elements: [feeder.id], limitSource: "head_line_id of the feeder",
                    loadCase: .now,
                    "What flows through the head of \(feeder.id) is not known: the network has no line \"\(feeder.headLine)\".",
                    remedy: "Enter head_line_id of the feeder in the network.")
            }
            let limit = limit(of: feeder, context)
            if limit == nil, context.network.feeders.contains(where: { $0.ratedAmperes != nil }),
                -now > max(0, -earlier) + limits.worseReverse
            {
                return Finding(
                    "F1", step: step, .unknown, elements: [feeder.id], value: -now, unit: "W",
                    limitSource: "head_rating_a of the feeder", loadCase: .now,
                    "\(feeder.id) feeds back \(Say.power(-now)) through its head (before: \(Say.power(-earlier))), whose rating is not known.",
                    remedy: "Enter head_rating_a of the feeder in the network.")
            }
            if let limit, limit > 0, -now > limit {
                let isWorse = -now > -earlier + tolerance(limit, limits)
                return Finding(
                    "F1", step: step, isWorse || -earlier <= limit ? .condition : .note, elements: [feeder.id],
                    value: -now, limit: limit, unit: "W", limitSource: "limits.head_reverse_pct", loadCase: .now,
                    "\(feeder.id) feeds back \(Say.power(-now)) through its head, more than \(Say.power(limit)) (before: \(Say.power(-earlier))).",
                    remedy: "Curtail DER on it, or transfer less of it.")
            }
            guard earlier >= 0, now < -limits.newReverse else { return nil }
            return Finding(
                "F1", step: step, .condition, elements: [feeder.id], value: -now, limit: limits.newReverse, unit: "W",
                limitSource: "limits.new_reverse_kw", loadCase: .now,
                "\(feeder.id) begins to feed back: \(Say.power(-now)) through its head, which took \(Say.power(earlier)) before.",
                remedy: "Check protection and regulators of its head for reverse flow.")
        }
    }

    /// When loads are low and DER give what they can.
    private static func banks(_ context: CheckContext) -> [Finding] {
        guard context.cases.contains(.export), let after = context.simulation.final.flow(.export) else { return [] }
        let before = context.simulation.initial.flow(.export)
        let limits = context.limits
        return context.network.transformers.enumerated().compactMap { place, unit in
            guard isJudged(unit, context) else { return nil }
            // Into the unit at its high-voltage side: negative flows back.
            let (now, earlier) = (after.transformers[place].fromWatts, before?.transformers[place].fromWatts ?? 0)
            let limit = limit(of: unit, context)
            guard -now > limit else { return nil }
            let isWorse = -now > -earlier + tolerance(limit, limits)
            return Finding(
                "F1", step: context.simulation.final.finding, isWorse ? .blockSoft : .note, elements: [unit.id],
                value: -now, limit: limit, unit: "W", limitSource: "limits.bank_reverse_kw", loadCase: .export,
                "\(unit.id) can feed back \(Say.power(-now)) into the high-voltage network (before: \(Say.power(-earlier)))\(unit.hasZeroSequenceProtection == nil ? ", and whether it has zero-sequence overvoltage protection is not known" : ", without zero-sequence overvoltage protection").",
                remedy: "Curtail DER behind it by at least \(Say.power(-now - limit)), or transfer less.")
        }
    }
}
