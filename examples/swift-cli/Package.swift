// swift-tools-version: 6.0
// A program of another package, which has PocketLM by its path. An app outside of this clone names
// the repository's URL and a version instead.
import PackageDescription

let package = Package(
    name: "swift-cli",
    platforms: [.macOS(.v12)],
    dependencies: [.package(name: "PocketLM", path: "../../swift")],
    targets: [
        .executableTarget(
            name: "pocketlm-swift", dependencies: [.product(name: "PocketLM", package: "PocketLM")])
    ],
    swiftLanguageModes: [.v6]
)
