// swift-tools-version: 6.2
//
// The manifest is the map of the house: one target per room, and a target imports only what its row
// names (`--explicit-target-dependency-import-check error` keeps that true). See
// Documentation/architecture.md for what each room is for.

import PackageDescription

/// Settings of every Swift target (the reasons stand in CONTRIBUTING.md).
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

/// The engine reads hostile bytes: lifetimes of views are checked, every unsafe expression is marked.
let engineSettings: [SwiftSetting] =
    settings + [
        .enableExperimentalFeature("Lifetimes"),
        .strictMemorySafety(),
    ]

let engine: [Target] = [
    .target(name: "CLinux"),
    .systemLibrary(name: "CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
    .target(name: "ELF", swiftSettings: engineSettings),
    .target(name: "Unwinding", dependencies: ["ELF"], swiftSettings: engineSettings),
    .target(name: "MachineCode", swiftSettings: engineSettings),
    .target(name: "LivePatch", dependencies: ["ELF"], swiftSettings: engineSettings),
    .target(
        name: "PatchPlan", dependencies: ["ELF", "MachineCode", "LivePatch", "Unwinding"], swiftSettings: engineSettings
    ),
    .target(name: "Approval", dependencies: ["CSodium", "LivePatch"], swiftSettings: engineSettings),
    .target(name: "ProcessInspection", dependencies: ["CLinux", "ELF"], swiftSettings: engineSettings),
    .target(
        name: "ProcessControl", dependencies: ["CLinux", "ELF", "MachineCode", "ProcessInspection"],
        swiftSettings: engineSettings),
    .target(
        name: "ProcessPatching",
        dependencies: [
            "CLinux", "ELF", "Unwinding", "MachineCode", "LivePatch", "PatchPlan", "Approval", "ProcessInspection",
            "ProcessControl",
        ], swiftSettings: engineSettings),
]

let factory: [Target] = [
    .target(name: "DWARF", dependencies: ["ELF"], swiftSettings: engineSettings),
    .systemLibrary(name: "CZydis", providers: [.apt(["libzydis-dev"])]),
    .target(
        name: "PatchBuilding",
        dependencies: [
            "ELF", "DWARF", "Unwinding", "MachineCode", "LivePatch", "CZydis",
            .product(name: "Subprocess", package: "swift-subprocess"),
            .product(name: "Yams", package: "Yams"),
        ], swiftSettings: settings),
]

/// What came of recipes, for people and programs.
let reporting: [Target] = [
    .target(
        name: "BuildReporting", dependencies: ["Approval", "Commands", "DWARF", "LivePatch", "PatchBuilding", "StrictJSON"],
        swiftSettings: settings)
]

/// What the executables share: arguments, exit codes, output. In the applier too, so without Foundation.
let commands: [Target] = [
    .target(name: "Commands", dependencies: ["StrictJSON"], swiftSettings: engineSettings),
    .target(
        name: "ProcessObservation",
        dependencies: ["Commands", "StrictJSON", "LivePatch", "PatchPlan", "ProcessInspection"],
        swiftSettings: engineSettings),
]

/// Executables are argument parsing and wiring only.
let executables: [Target] = [
    .executableTarget(
        name: "moult", dependencies: ["Commands", .product(name: "ArgumentParser", package: "swift-argument-parser")],
        swiftSettings: settings,
        linkerSettings: [
            .unsafeFlags(["-static-executable", "-use-ld=lld"]), .linkedLibrary("_FoundationCShims"),
            .linkedLibrary("_FoundationCollections"), .linkedLibrary("swiftSynchronization"),
        ]),
    .executableTarget(
        name: "moult-applier",
        dependencies: [
            "Commands", "StrictJSON", "LivePatch", "Approval", "PatchPlan", "ProcessInspection", "ProcessControl",
            "ProcessPatching",
        ],
        swiftSettings: engineSettings,
        linkerSettings: [.unsafeFlags(["-static-executable", "-use-ld=lld"])]),
    .executableTarget(
        name: "moult-observer",
        dependencies: [
            "Commands", "StrictJSON", "Approval", "LivePatch", "PatchPlan", "ProcessInspection", "ProcessObservation",
        ], swiftSettings: engineSettings, linkerSettings: [.unsafeFlags(["-static-executable", "-use-ld=lld"])]),
    .executableTarget(
        name: "moult-build",
        dependencies: ["Commands", "StrictJSON", "Approval", "LivePatch", "PatchBuilding", "BuildReporting"],
        swiftSettings: settings),
]

let trust: [Target] = [
    .target(name: "StrictJSON", swiftSettings: engineSettings)
]

let examples: [Target] = [
    .systemLibrary(
        name: "COpenSSL", path: "Examples/COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
    .target(name: "OpenSSLCases", dependencies: ["COpenSSL"], path: "Examples/OpenSSLCases"),
    .executableTarget(
        name: "TLSService", dependencies: ["COpenSSL", "OpenSSLCases"], path: "Examples/TLSService",
        swiftSettings: settings),
    .target(
        name: "ClientSessions", dependencies: ["COpenSSL"], path: "Examples/ClientSessions", swiftSettings: settings),
    .executableTarget(
        name: "moult-demo", dependencies: ["ClientSessions", "LivePatch", "Approval"], path: "Examples/Demo",
        swiftSettings: settings),
]

let tests: [Target] = [
    .testTarget(
        name: "MoultTests", dependencies: ["Approval", "Commands", "LivePatch"], exclude: ["Snapshots"],
        swiftSettings: settings),
    .testTarget(
        name: "ProcessObservationTests",
        dependencies: [
            "ProcessObservation", "StrictJSON", "Approval", "Commands", "LivePatch", "PatchPlan",
            "ProcessInspection",
        ], swiftSettings: settings),
    .testTarget(name: "CommandsTests", dependencies: ["Commands"], swiftSettings: settings),
    .testTarget(name: "ELFTests", dependencies: ["ELF"], swiftSettings: settings),
    .testTarget(name: "DWARFTests", dependencies: ["DWARF", "ELF"], swiftSettings: settings),
    .testTarget(name: "UnwindingTests", dependencies: ["Unwinding", "ELF"], swiftSettings: settings),
    .testTarget(name: "MachineCodeTests", dependencies: ["MachineCode"], swiftSettings: settings),
    .testTarget(name: "LivePatchTests", dependencies: ["LivePatch", "ELF", "Approval"], swiftSettings: settings),
    .testTarget(
        name: "PatchBuildingTests",
        dependencies: [
            "PatchBuilding", "DWARF", "ELF", "LivePatch", "MachineCode", "Mutation", "Approval", "TestSupport",
            .product(name: "Subprocess", package: "swift-subprocess"),
        ], swiftSettings: settings),
    .testTarget(
        name: "BuildReportingTests",
        dependencies: ["BuildReporting", "PatchBuilding", "Commands", "StrictJSON"], swiftSettings: settings),
    .testTarget(
        name: "SystemTests",
        dependencies: [
            "PatchBuilding", "DWARF", "ELF", "LivePatch", "MachineCode", "Mutation", "CZydis", "Approval", "TestSupport",
        ], exclude: ["Programs"], swiftSettings: settings),
    .target(name: "Mutation", path: "Tests/Mutation", swiftSettings: settings),
    .testTarget(
        name: "PatchPlanTests", dependencies: ["PatchPlan", "LivePatch", "MachineCode", "Approval"],
        swiftSettings: settings),
    .testTarget(name: "ApprovalTests", dependencies: ["Approval"], swiftSettings: settings),
    .testTarget(name: "StrictJSONTests", dependencies: ["StrictJSON"], swiftSettings: settings),
    .testTarget(
        name: "ProcessPatchingTests",
        dependencies: [
            "ProcessPatching", "PatchPlan", "ProcessControl", "ProcessInspection", "LivePatch", "MachineCode",
            "Unwinding", "Approval", "TestSupport",
        ], exclude: ["Programs"], swiftSettings: settings),
    .target(
        name: "TestSupport", path: "Tests/Support", exclude: ["Programs"], swiftSettings: settings),
    .executableTarget(name: "moult-case-victim", dependencies: ["OpenSSLCases"], path: "Tests/CaseVictim"),
    .executableTarget(
        name: "moult-control-probe", dependencies: ["ProcessControl", "ProcessInspection"], path: "Tests/ControlProbe",
        swiftSettings: settings),
    .testTarget(
        name: "ProcessInspectionTests", dependencies: ["ProcessInspection", "CLinux", "TestSupport"],
        swiftSettings: settings),
    .testTarget(
        name: "ProcessControlTests",
        dependencies: ["ProcessControl", "ProcessInspection", "CLinux", "TestSupport", "moult-control-probe"],
        swiftSettings: settings),
]

let package = Package(
    name: "moult",
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", exact: "1.0.2", traits: []),
    ],
    targets: [engine, factory, reporting, commands, executables, trust, examples, tests].flatMap { $0 }
)
