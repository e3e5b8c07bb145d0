internal import CPowerGridModel

/// The columns of one component, such as `line`.
struct EngineTable {
    let component: String
    let count: Int
    let columns: [AnyEngineColumn]
}

/// A dataset that the engine reads: `input` or `update`.
struct InputDataset: ~Copyable {
    let raw: OpaquePointer
    /// The engine keeps pointers into them.
    private let tables: [EngineTable]

    init(_ kind: String, _ tables: [EngineTable], _ handle: borrowing EngineHandle) throws(PowerFlowError) {
        guard let raw = PGM_create_dataset_const(handle.raw, kind, 0, 1) else {
            try handle.check("make dataset \(kind)")
            throw PowerFlowError(.invalidInput, "make dataset \(kind)", "the engine gave none")
        }
        do throws(PowerFlowError) {
            for table in tables where table.count > 0 {
                try EngineMeta.check(table, in: kind, handle)
                PGM_dataset_const_add_buffer(
                    handle.raw, raw, table.component, PGM_Idx(table.count), PGM_Idx(table.count), nil, nil)
                try handle.check("add \(table.component)")
                for column in table.columns {
                    PGM_dataset_const_add_attribute_buffer(
                        handle.raw, raw, table.component, column.attribute, column.base)
                    try handle.check("add \(table.component).\(column.attribute)")
                }
            }
        } catch {
            PGM_destroy_dataset_const(raw)
            throw error
        }
        self.tables = tables
        self.raw = raw
    }

    deinit { PGM_destroy_dataset_const(raw) }
}

/// A dataset that the engine writes: `sym_output`, `sc_output`.
struct OutputDataset: ~Copyable {
    let raw: OpaquePointer
    private let tables: [EngineTable]

    init(_ kind: String, _ tables: [EngineTable], _ handle: borrowing EngineHandle) throws(PowerFlowError) {
        guard let raw = PGM_create_dataset_mutable(handle.raw, kind, 0, 1) else {
            try handle.check("make dataset \(kind)")
            throw PowerFlowError(.invalidInput, "make dataset \(kind)", "the engine gave none")
        }
        do throws(PowerFlowError) {
            for table in tables where table.count > 0 {
                try EngineMeta.check(table, in: kind, handle)
                PGM_dataset_mutable_add_buffer(
                    handle.raw, raw, table.component, PGM_Idx(table.count), PGM_Idx(table.count), nil, nil)
                try handle.check("add \(table.component)")
                for column in table.columns {
                    PGM_dataset_mutable_add_attribute_buffer(
                        handle.raw, raw, table.component, column.attribute, column.base)
                    try handle.check("add \(table.component).\(column.attribute)")
                }
            }
        } catch {
            PGM_destroy_dataset_mutable(raw)
            throw error
        }
        self.tables = tables
        self.raw = raw
    }

    deinit { PGM_destroy_dataset_mutable(raw) }
}

enum EngineMeta {
    /// The engine takes a column of any type and misreads it, so the type is asked for.
    static func check(_ table: EngineTable, in dataset: String, _ handle: borrowing EngineHandle)
        throws(PowerFlowError)
    {
        for column in table.columns {
            let meta = PGM_meta_get_attribute_by_name(handle.raw, dataset, table.component, column.attribute)
            try handle.check("look up \(table.component).\(column.attribute)")
            let type = PGM_meta_attribute_ctype(handle.raw, meta)
            precondition(type == column.type, "\(dataset) \(table.component).\(column.attribute) is of another type")
        }
    }
}
