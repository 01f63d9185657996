import Foundation
import TestSupport

/// A service whose clock is wrong, by Debian's package libfaketime.
extension Environment {
    private static let library = "/usr/lib/\(machine)-linux-gnu/faketime/libfaketimeMT.so.1"

    #if arch(arm64)
    private static let machine = "aarch64"
    #else
    private static let machine = "x86_64"
    #endif

    static var whyClockCannotBeMoved: String? {
        FileManager.default.fileExists(atPath: library) ? nil : "libfaketime is not installed"
    }

    /// The file that holds the offset of the target's clock.
    private var offsetFile: String { target.logFile + ".clock" }

    /// Moves the clock of the service that was started with ``launchWithMovableClock()``.
    fileprivate func moveClock(bySeconds seconds: Int) throws {
        try "\(seconds < 0 ? "" : "+")\(seconds)".write(toFile: offsetFile, atomically: true, encoding: .utf8)
    }

    fileprivate func launchWithMovableClock() -> ServiceInstance.Launch {
        var launch = launch(of: target)
        // Leases and deadlines do not follow the wall clock, and neither does the machine's monotonic clock. The file is read at each look.
        launch.wrapping = [
            "env", "LD_PRELOAD=\(Self.library)", "FAKETIME_TIMESTAMP_FILE=\(offsetFile)", "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1", "FAKETIME_DONT_RESET=1",
        ]
        return launch
    }
}

extension Fault {
    static let clock = [
        Fault(
            "clock of one service: 3 s off", obstacle: { Environment.whyClockCannotBeMoved },
            prepare: { environment in
                try await environment.stopService()
                try environment.moveClock(bySeconds: 0)
                try await environment.target.start(environment.launchWithMovableClock())
            },
            inject: { environment in
                let offset = Bool.random(using: &environment.random) ? 3 : -3
                try environment.moveClock(bySeconds: offset)
                try await environment.requestsGoOn()
                try await environment.pause(milliseconds: 2_000...5_000)
                try environment.moveClock(bySeconds: 0)
                try await environment.pause(milliseconds: 0...500)
                // A service must not start beside a store whose clock is so far away.
                try await environment.stopService()
                try environment.moveClock(bySeconds: offset)
                do {
                    try await environment.target.start(environment.launchWithMovableClock())
                    environment.findings.add(.wrong, "a service with a clock that is \(offset) s off has started")
                    try await environment.stopService()
                } catch let error as ServeProcess.NotServing {
                    if !error.log.contains("its clock is") {
                        environment.findings.add(.wrong, "a service with a clock that is \(offset) s off did not name it: \(error)")
                    }
                }
                try await environment.startService()
            })
    ]
}
