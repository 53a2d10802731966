// swift-tools-version: 6.0
// The package as it is developed and tested, with a library from this clone; apps add the one at the
// root of the repository. On a Mac `cargo xtask xcframework` makes the library. Elsewhere it is in
// the folder that `POCKETLM_LIBRARY` names, and `cargo xtask swift` takes care of all of it.
import Foundation
import PackageDescription

#if os(macOS)
    let library: Target = .binaryTarget(name: "PocketLMFFI", path: "PocketLMFFI.xcframework")
    let linker: [LinkerSetting] = []
#else
    let folder = ProcessInfo.processInfo.environment["POCKETLM_LIBRARY"] ?? "../target/debug"
    let library: Target = .systemLibrary(name: "PocketLMFFI", path: "Sources/PocketLMFFI")
    let linker: [LinkerSetting] = [
        .unsafeFlags(["-L\(folder)", "-lpocketlm_ffi", "-Xlinker", "-rpath", "-Xlinker", folder])
    ]
#endif

let package = Package(
    name: "PocketLM",
    platforms: [.iOS(.v15), .macOS(.v12), .macCatalyst(.v15), .visionOS(.v1)],
    products: [
        .library(name: "PocketLM", targets: ["PocketLM"])
    ],
    targets: [
        library,
        .target(
            name: "PocketLMInternal",
            dependencies: ["PocketLMFFI"],
            swiftSettings: [.swiftLanguageMode(.v5)],
            linkerSettings: linker),
        .target(
            name: "PocketLM",
            dependencies: ["PocketLMInternal"],
            resources: [.copy("PrivacyInfo.xcprivacy")]),
        .testTarget(name: "PocketLMTests", dependencies: ["PocketLM"]),
    ],
    swiftLanguageModes: [.v6]
)
