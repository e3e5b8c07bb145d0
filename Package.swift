// swift-tools-version: 6.2
import PackageDescription

/// Settings every Swift target shares. Language mode 6 gives complete strict-concurrency checking.
let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("InferIsolatedConformances"),
]

func swift(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], data: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: data, swiftSettings: strict)
}

/// power-grid-model comes as a shared library in vendor/ (scripts/install-dependencies). Found beside the program where
/// it is deployed (SwiftPM's own $ORIGIN), and from the build folders, one level deeper under the sanitizers.
let powerGridModel: [LinkerSetting] = [
    .unsafeFlags(
        ["-L\(Context.packageDirectory)/vendor/power-grid-model/lib"]
            + ["$ORIGIN/../../..", "$ORIGIN/../../../.."].flatMap {
                ["-Xlinker", "-rpath", "-Xlinker", "\($0)/vendor/power-grid-model/lib"]
            }),
    .linkedLibrary("power_grid_model_c"),
]

let package = Package(
    name: "backfeed",
    products: [.executable(name: "backfeed", targets: ["backfeed"])],
    targets: [
        // C libraries: one header-only system target each; two small C++ targets and one generated C target.
        .systemLibrary(name: "CLinux"),
        .systemLibrary(name: "CLibPQ", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CZeroMQ", providers: [.apt(["libzmq3-dev"])]),
        .systemLibrary(name: "CMicroHTTPD", providers: [.apt(["libmicrohttpd-dev"])]),
        .systemLibrary(name: "CPopt", providers: [.apt(["libpopt-dev"])]),
        .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CSystemd", providers: [.apt(["libsystemd-dev"])]),
        .systemLibrary(name: "CSodium", providers: [.apt(["libsodium-dev"])]),
        .target(name: "CSimdJSON", linkerSettings: [.linkedLibrary("simdjson")]),
        .target(name: "CToml", linkerSettings: [.linkedLibrary("tomlplusplus")]),
        .target(name: "CTelemetry", exclude: ["telemetry.proto"], linkerSettings: [.linkedLibrary("protobuf-c")]),

        .target(name: "CPowerGridModel", linkerSettings: powerGridModel),

        swift("GridModel", []),
        swift("ServiceKit", ["CLinux", "CSodium", "CSystemd", "CToml", "CZlib"]),
        swift("DataDirectory", ["GridModel", "ServiceKit"]),
        swift("Messaging", ["CZeroMQ", "CSimdJSON", "CTelemetry", "GridModel", "ServiceKit"]),
        swift("Store", ["CLibPQ", "GridModel", "ServiceKit"]),
        swift("PowerFlow", ["CPowerGridModel", "GridModel"]),
        swift("Switching", ["GridModel", "PowerFlow", "ServiceKit"]),
        swift("Study", ["DataDirectory", "GridModel", "ServiceKit", "Switching"]),
        swift("Analysis", ["GridModel"]),
        swift("Adapters", ["GridModel"]),
        swift("HTTPAPI", ["CMicroHTTPD", "GridModel", "ServiceKit"]),
        .executableTarget(
            name: "backfeed",
            dependencies: [
                "CPopt", "Adapters", "Analysis", "DataDirectory", "GridModel", "HTTPAPI", "Messaging", "PowerFlow",
                "ServiceKit", "Store", "Study", "Switching",
            ],
            // For ServiceTests, in release builds too: what a service decides is tested as it is deployed.
            swiftSettings: strict + [.unsafeFlags(["-enable-testing"])]
        ),

        .target(
            name: "TestSupport", dependencies: ["GridModel", "ServiceKit", "Store"], path: "Tests/TestSupport",
            swiftSettings: strict),
        tests("GridModelTests", ["GridModel", "DataDirectory", "TestSupport"]),
        tests("ServiceKitTests", ["ServiceKit"]),
        tests("DataDirectoryTests", ["DataDirectory", "GridModel", "TestSupport"]),
        tests("MessagingTests", ["Messaging", "GridModel", "ServiceKit", "TestSupport"]),
        tests("StoreTests", ["Store", "GridModel", "ServiceKit", "TestSupport"]),
        tests("AdaptersTests", ["Adapters", "GridModel", "Messaging"]),
        tests("AnalysisTests", ["Analysis", "GridModel", "DataDirectory", "TestSupport"]),
        tests("PowerFlowTests", ["PowerFlow", "GridModel", "DataDirectory", "TestSupport"]),
        tests("SwitchingTests", ["Switching", "GridModel", "PowerFlow", "DataDirectory"], data: ["Cases"]),
        tests("StudyTests", ["Study", "Switching", "PowerFlow", "GridModel", "DataDirectory", "TestSupport"]),
        tests("HTTPAPITests", ["HTTPAPI", "GridModel", "ServiceKit", "TestSupport"]),
        tests(
            "ServiceTests",
            [
                "backfeed", "Analysis", "GridModel", "Messaging", "PowerFlow", "ServiceKit", "Store", "Switching",
                "TestSupport",
            ]),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .gnu11,
    cxxLanguageStandard: .cxx17
)

// The fuzz targets need the sanitizers' runtime in every module, so `scripts/fuzz` builds them apart from the rest.
if Context.environment["BACKFEED_FUZZ"] != nil {
    package.targets += [
        .systemLibrary(name: "CFuzzer", path: "Tests/Fuzz/CFuzzer"),
        .executableTarget(
            name: "fuzz",
            dependencies: [
                "CFuzzer", "Adapters", "DataDirectory", "GridModel", "Messaging", "ServiceKit", "Switching",
            ],
            path: "Tests/Fuzz", exclude: ["CFuzzer", "corpus", "dictionaries"],
            swiftSettings: strict),
    ]
}
