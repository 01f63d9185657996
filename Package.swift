// swift-tools-version: 6.2
import PackageDescription

/// CI treats every warning of our own code as an error; a newer compiler on somebody's machine does not break their build.
let strict: [SwiftSetting] =
    [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
    ] + (Context.environment["CI"] == nil ? [] : [.treatAllWarnings(as: .error)])

let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioTLS = Target.Dependency.product(name: "NIOTLS", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let cryptoExtras = Target.Dependency.product(name: "CryptoExtras", package: "swift-crypto")
let jwt = Target.Dependency.product(name: "JWTKit", package: "jwt-kit")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let httpClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let subprocess = Target.Dependency.product(name: "Subprocess", package: "swift-subprocess")
let histogram = Target.Dependency.product(name: "Histogram", package: "hdrhistogram-swift")
let collections = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let heap = Target.Dependency.product(name: "HeapModule", package: "swift-collections")

let luaScripts = [
    "adjust_coupon", "admit_store", "append_events", "archive_coupon", "claim_coupon", "load_claims", "load_coupon", "open_coupon",
    "rank_products", "record_sales", "record_views", "swap_sales", "take_tokens",
]

let package = Package(
    name: "firstcome",
    products: [
        .executable(name: "firstcome", targets: ["firstcome"]),
        // For `make costs` alone, which preloads it.
        .library(name: "CountingAllocator", type: .dynamic, targets: ["CountingAllocator"]),
        // For a test alone, which preloads it.
        .library(name: "SlowDisk", type: .dynamic, targets: ["SlowDisk"]),
        .library(name: "WrongClock", type: .dynamic, targets: ["WrongClock"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-collections.git", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.0"),
        .package(url: "https://github.com/groue/GRDB.swift.git", from: "7.10.0"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift.git", from: "0.2.0"),
        .package(url: "https://github.com/swift-server/async-http-client.git", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess.git", from: "1.0.0", traits: []),
        .package(url: "https://github.com/vapor/jwt-kit.git", from: "5.7.0"),
    ],
    targets: [
        .systemLibrary(name: "CHiredis", providers: [.apt(["libhiredis-dev"])]),
        .systemLibrary(name: "CLibPQ", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
        .target(name: "LuaScripts", path: "lua", resources: luaScripts.map { .embedInCode("\($0).lua") }, swiftSettings: strict),
        .target(name: "EventLoops", dependencies: [nioCore], swiftSettings: strict),
        .target(name: "FaultPoints", swiftSettings: strict),
        .target(name: "TraceContext", swiftSettings: strict),
        .target(name: "Histograms", swiftSettings: strict),
        .target(name: "JSON", dependencies: [nioCore], swiftSettings: strict),
        .target(
            name: "Redis", dependencies: ["CHiredis", "EventLoops", "Histograms", nioCore, nioPosix, nioSSL, collections, logging],
            swiftSettings: strict),
        .target(name: "Postgres", dependencies: ["CLibPQ"], swiftSettings: strict),
        .target(name: "Commerce", dependencies: [crypto], swiftSettings: strict),
        .target(
            name: "PostgresStore",
            dependencies: ["Commerce", "FaultPoints", "Histograms", "Postgres", "Store", "TraceContext", logging], swiftSettings: strict),
        .target(name: "CSQLiteSettings"),
        .target(
            name: "Store", dependencies: ["Commerce", "CSQLiteSettings", "FaultPoints", "Histograms", "TraceContext", grdb, logging],
            swiftSettings: strict),
        .target(
            name: "HTTPServer", dependencies: ["EventLoops", "Histograms", "TraceContext", nioCore, nioPosix, nioSSL, nioTLS, logging],
            swiftSettings: strict),
        .target(
            name: "Services",
            dependencies: [
                "Commerce", "Store", "Redis", "LuaScripts", "JSON", "EventLoops", "FaultPoints", "Histograms", "TraceContext", nioCore,
                nioPosix,
                nioHTTP1, crypto, httpClient,
                subprocess, logging, collections, heap, lifecycle,
            ],
            swiftSettings: strict
        ),
        .target(
            name: "API",
            dependencies: [
                "CZlib", "HTTPServer", "Services", "Commerce", "Store", "Redis", "JSON", "EventLoops", "FaultPoints", "Histograms",
                "TraceContext", crypto,
                cryptoExtras, collections, nioCore, logging,
            ],
            resources: [
                .embedInCode("openapi.json"), .embedInCode("docs.css"), .embedInCode("Console/console.html"),
                .embedInCode("Console/console.css"), .embedInCode("Console/console.js"), .embedInCode("Console/icon.svg"),
            ],
            swiftSettings: strict
        ),
        .target(
            name: "App",
            dependencies: [
                "API", "HTTPServer", "Services", "PostgresStore", "Store", "Redis", "Postgres", "Commerce", "JSON", nioCore, nioPosix,
                logging, lifecycle,
            ],
            swiftSettings: strict
        ),
        .executableTarget(
            name: "firstcome",
            dependencies: [
                "App", "API", "HTTPServer", "Services", "PostgresStore", "Store", "Redis", "Postgres", "Commerce", argumentParser, nioCore,
                logging,
            ],
            // For other programs: Prometheus and Grafana; proxies, PostgreSQL and Redis.
            exclude: ["Monitoring", "Deployment"],
            swiftSettings: strict
        ),
        .target(
            name: "TestSupport", dependencies: ["Commerce", "JSON", "HTTPServer", nioCore, nioPosix, logging, subprocess],
            path: "Tests/Support/Core",
            swiftSettings: strict),
        .target(
            name: "Torture",
            dependencies: ["FaultPoints", "JSON", "Services", "TestSupport", nioCore, crypto],
            path: "Tests/Torture/Core", swiftSettings: strict
        ),
        .executableTarget(
            name: "firstcome-torture", dependencies: ["TestSupport", "Torture", "firstcome", argumentParser], path: "Tests/Torture/Tool",
            swiftSettings: strict
        ),
        .executableTarget(
            name: "firstcome-flash-sale",
            dependencies: ["JSON", "Services", "TestSupport", "firstcome", argumentParser, nioCore, nioPosix],
            path: "Tests/FlashSale/Tool", swiftSettings: strict
        ),
        .target(
            name: "LoadGenerator", dependencies: [nioCore, nioPosix, histogram], path: "Tests/Bench/LoadGenerator",
            swiftSettings: strict),
        .target(name: "BenchPlots", dependencies: ["TestSupport"], path: "Tests/Bench/Plots", swiftSettings: strict),
        .target(name: "SlowDisk", path: "Tests/Support/SlowDisk"),
        .target(name: "WrongClock", path: "Tests/Support/WrongClock"),
        .target(name: "CountingAllocator", path: "Tests/Costs/CountingAllocator"),
        .target(
            name: "Bench",
            dependencies: [
                "BenchPlots", "Commerce", "JSON", "LoadGenerator", "LuaScripts", "Services", "Store", "TestSupport", argumentParser, grdb,
                nioCore, nioPosix, nioHTTP1, logging,
            ], path: "Tests/Bench/Core",
            swiftSettings: strict),
        .executableTarget(
            name: "firstcome-bench", dependencies: ["Bench", "TestSupport", "firstcome", argumentParser], path: "Tests/Bench/Tool",
            swiftSettings: strict
        ),
        .executableTarget(
            name: "firstcome-costs", dependencies: ["Bench", "JSON", "TestSupport", "firstcome", argumentParser, nioCore],
            path: "Tests/Costs/Tool", swiftSettings: strict
        ),
        .testTarget(
            name: "BenchTests",
            dependencies: [
                "Bench", "BenchPlots", "Commerce", "LoadGenerator", "Postgres", "PostgresStore", "Store", "TestSupport", nioCore, nioPosix,
                logging,
            ],
            path: "Tests/Bench/Tests", swiftSettings: strict),
        .testTarget(name: "JSONTests", dependencies: ["JSON", "TestSupport", nioCore], swiftSettings: strict),
        .testTarget(name: "CommerceTests", dependencies: ["Commerce", "TestSupport"], swiftSettings: strict),
        .testTarget(
            name: "RedisTests",
            dependencies: ["Redis", "EventLoops", "TestSupport", nioCore, nioPosix, nioEmbedded, nioSSL, logging],
            swiftSettings: strict
        ),
        .testTarget(name: "PostgresTests", dependencies: ["CLibPQ", "Postgres", "TestSupport"], swiftSettings: strict),
        .testTarget(
            name: "PostgresStoreTests",
            dependencies: ["Commerce", "Postgres", "PostgresStore", "Store", "TestSupport", "TraceContext", nioCore, logging],
            swiftSettings: strict),
        .testTarget(
            name: "LuaTests",
            dependencies: ["LuaScripts", "Redis", "Services", "Commerce", "TestSupport", nioCore, nioPosix, logging],
            swiftSettings: strict
        ),
        .testTarget(
            name: "StoreTests",
            dependencies: ["Store", "Commerce", "Postgres", "PostgresStore", "TestSupport", "TraceContext", grdb, logging],
            swiftSettings: strict),
        .target(
            name: "RequestFuzzing", dependencies: ["HTTPServer", "TestSupport", nioCore, nioEmbedded, nioHTTP1],
            path: "Tests/Fuzz/Core",
            swiftSettings: strict),
        .testTarget(
            name: "RequestFuzzingTests", dependencies: ["RequestFuzzing", "TestSupport"], path: "Tests/Fuzz/Tests", swiftSettings: strict),
        .testTarget(
            name: "HTTPServerTests",
            dependencies: [
                "HTTPServer", "Histograms", "JSON", "TestSupport", "TraceContext", nioCore, nioPosix, nioEmbedded, nioSSL, logging,
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "ServicesTests",
            dependencies: [
                "Services", "Store", "Postgres", "PostgresStore", "Redis", "Commerce", "JSON", "HTTPServer", "Histograms", "TestSupport",
                "TraceContext", nioCore, nioPosix, logging,
                crypto, grdb, httpClient, lifecycle,
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "APITests",
            dependencies: [
                "API", "CZlib", "EventLoops", "Histograms", "HTTPServer", "Services", "Store", "Redis", "Commerce", "JSON", "TestSupport",
                jwt, crypto,
                cryptoExtras, nioCore, nioPosix,
                nioEmbedded, logging,
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "EndToEndTests",
            dependencies: [
                "App", "firstcome", "FaultPoints", "API", "HTTPServer", "Services", "PostgresStore", "Store", "Redis", "Postgres",
                "Commerce", "JSON",
                "TestSupport",
                nioCore,
                nioPosix, nioHTTP1, nioSSL, httpClient, grdb,
                crypto, cryptoExtras, logging,
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "TortureTests", dependencies: ["Torture", "firstcome-torture", "firstcome", "TestSupport", grdb],
            path: "Tests/Torture/Tests", swiftSettings: strict
        ),
        .testTarget(name: "CostsTests", dependencies: ["Bench", "firstcome-costs"], path: "Tests/Costs/Tests", swiftSettings: strict),
        .testTarget(name: "SuiteRunnerTests", dependencies: ["TestSupport"], path: "Tests/Support/Tests", swiftSettings: strict),
    ]
)

// A coverage-guided fuzzer has libFuzzer's main function, which is there only where all is built with `--sanitize fuzzer`.
if Context.environment["FIRSTCOME_FUZZER"] != nil {
    package.targets.append(
        .executableTarget(
            name: "firstcome-fuzzer", dependencies: ["RequestFuzzing"], path: "Tests/Fuzz/Tool",
            swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])]))
}
