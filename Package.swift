// swift-tools-version: 6.0
// The package that apps add, by this repository's URL and a version. `cargo xtask release` writes the
// address and the checksum of the binary part below; `swift/Package.swift` is the package as it is
// developed and tested.
import PackageDescription

let package = Package(
    name: "PocketLM",
    platforms: [.iOS(.v15), .macOS(.v12), .macCatalyst(.v15), .visionOS(.v1)],
    products: [
        .library(name: "PocketLM", targets: ["PocketLM"])
    ],
    targets: [
        .binaryTarget(
            name: "PocketLMFFI",
            url: "https://github.com/pocketlm/pocketlm/releases/download/v0.1.0/PocketLMFFI.xcframework.zip",
            checksum: "0000000000000000000000000000000000000000000000000000000000000000"),
        // Generated. The compiler of Swift 6.0 does not get along with it in its own mode.
        .target(
            name: "PocketLMInternal",
            dependencies: ["PocketLMFFI"],
            path: "swift/Sources/PocketLMInternal",
            swiftSettings: [.swiftLanguageMode(.v5)]),
        .target(
            name: "PocketLM",
            dependencies: ["PocketLMInternal"],
            path: "swift/Sources/PocketLM",
            resources: [.copy("PrivacyInfo.xcprivacy")]),
    ],
    swiftLanguageModes: [.v6]
)
