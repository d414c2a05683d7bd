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
    .systemLibrary(name: "CZydis", providers: [.apt(["libzydis-dev"])]),
    .target(
        name: "PatchBuilding",
        dependencies: [
            "ELF", "Unwinding", "MachineCode", "LivePatch", "CZydis",
            .product(name: "Subprocess", package: "swift-subprocess"),
            .product(name: "Yams", package: "Yams"),
        ], swiftSettings: settings),
]

let trust: [Target] = [
    .target(name: "StrictJSON", swiftSettings: engineSettings)
]

let tests: [Target] = [
    .testTarget(name: "ELFTests", dependencies: ["ELF"], swiftSettings: settings),
    .testTarget(name: "UnwindingTests", dependencies: ["Unwinding", "ELF"], swiftSettings: settings),
    .testTarget(name: "MachineCodeTests", dependencies: ["MachineCode"], swiftSettings: settings),
    .testTarget(name: "LivePatchTests", dependencies: ["LivePatch", "ELF", "Approval"], swiftSettings: settings),
    .testTarget(
        name: "PatchBuildingTests",
        dependencies: [
            "PatchBuilding", "ELF", "LivePatch", .product(name: "Subprocess", package: "swift-subprocess"),
        ], swiftSettings: settings),
    .testTarget(name: "SystemTests", dependencies: ["PatchBuilding", "ELF"], swiftSettings: settings),
    .testTarget(name: "ApprovalTests", dependencies: ["Approval"], swiftSettings: settings),
    .testTarget(name: "StrictJSONTests", dependencies: ["StrictJSON"], swiftSettings: settings),
]

let package = Package(
    name: "moult",
    dependencies: [
        .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", exact: "1.0.2", traits: []),
    ],
    targets: engine + factory + trust + tests
)
