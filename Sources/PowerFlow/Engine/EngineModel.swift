internal import CPowerGridModel

/// One `PGM_PowerGridModel` with its options and handle: made, updated and solved on one thread.
struct EngineModel: ~Copyable {
    private let handle: EngineHandle
    private let model: OpaquePointer
    private let options: OpaquePointer

    init(_ tables: [EngineTable], frequency: Double) throws(PowerFlowError) {
        let handle = EngineHandle()
        let input = try InputDataset("input", tables, handle)
        guard let model = PGM_create_model(handle.raw, frequency, input.raw) else {
            try handle.check("build the model")
            throw PowerFlowError(.invalidInput, "build the model", "the engine gave none")
        }
        guard let options = PGM_create_options(handle.raw) else {
            PGM_destroy_model(model)
            throw PowerFlowError(.invalidInput, "make options", "the engine gave none")
        }
        self.handle = handle
        self.model = model
        self.options = options
    }

    deinit {
        PGM_destroy_options(options)
        PGM_destroy_model(model)
    }

    /// After a throw the model is undefined and must be thrown away.
    mutating func update(_ tables: [EngineTable]) throws(PowerFlowError) {
        let dataset = try InputDataset("update", tables, handle)
        PGM_update_model(handle.raw, model, dataset.raw)
        try handle.check("change the model")
    }

    enum Calculation: Equatable {
        case loadFlow
        /// The three phases each for itself.
        case loadFlowByPhase
        /// IEC 60909; `isMaximum` chooses the voltage factor.
        case shortCircuit(isMaximum: Bool)
    }

    mutating func calculate(_ calculation: Calculation, into tables: [EngineTable]) throws(PowerFlowError) {
        let (isLoadFlow, output): (Bool, String)
        switch calculation {
        case .loadFlow, .loadFlowByPhase:
            (isLoadFlow, output) = (true, calculation == .loadFlow ? "sym_output" : "asym_output")
            PGM_set_calculation_type(handle.raw, options, PGM_Idx(PGM_power_flow.rawValue))
            PGM_set_calculation_method(handle.raw, options, PGM_Idx(PGM_newton_raphson.rawValue))
            let symmetry = calculation == .loadFlow ? PGM_symmetric : PGM_asymmetric
            PGM_set_symmetric(handle.raw, options, PGM_Idx(symmetry.rawValue))
            PGM_set_err_tol(handle.raw, options, 1e-8)
            PGM_set_max_iter(handle.raw, options, 20)
        case .shortCircuit(let isMaximum):
            (isLoadFlow, output) = (false, "sc_output")
            PGM_set_calculation_type(handle.raw, options, PGM_Idx(PGM_short_circuit.rawValue))
            PGM_set_calculation_method(handle.raw, options, PGM_Idx(PGM_iec60909.rawValue))
            let scaling =
                isMaximum
                ? PGM_short_circuit_voltage_scaling_maximum : PGM_short_circuit_voltage_scaling_minimum
            PGM_set_short_circuit_voltage_scaling(handle.raw, options, PGM_Idx(scaling.rawValue))
        }
        let dataset = try OutputDataset(output, tables, handle)
        PGM_calculate(handle.raw, model, options, dataset.raw, nil)
        try handle.check(isLoadFlow ? "load flow" : "short circuit")
    }
}
