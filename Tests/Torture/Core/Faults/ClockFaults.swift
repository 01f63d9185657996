import Foundation
import TestSupport

/// A service whose time of day is wrong: a library that is preloaded into it adds an offset.
extension Environment {
    /// The file that holds the offset of the target's clock.
    private var offsetFile: String { target.logFile + ".clock" }

    /// Moves the clock of the service that was started with ``launchWithMovableClock()``.
    fileprivate func moveClock(bySeconds seconds: Int) throws {
        try "\(seconds)".write(toFile: offsetFile, atomically: true, encoding: .utf8)
    }

    fileprivate func launchWithMovableClock() throws -> ServiceInstance.Launch {
        var launch = launch(of: target)
        let library = try Tool.executable().deletingLastPathComponent().appending(path: "libWrongClock.so").path
        launch.wrapping = ["env", "LD_PRELOAD=\(library)", "FIRSTCOME_WRONG_CLOCK=\(offsetFile)"]
        return launch
    }
}

extension Fault {
    static let clock = [
        Fault(
            "clock of one service: 3 s off",
            prepare: { environment in
                try await environment.stopService()
                try environment.moveClock(bySeconds: 0)
                try await environment.target.start(try environment.launchWithMovableClock())
                environment.client.clocks.differ = true
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
                    try await environment.target.start(try environment.launchWithMovableClock())
                    environment.findings.add(.wrong, "a service with a clock that is \(offset) s off has started")
                    try await environment.stopService()
                } catch let error as ServeProcess.NotServing {
                    if !error.log.contains("its clock is") {
                        environment.findings.add(.wrong, "a service with a clock that is \(offset) s off did not name it: \(error)")
                    }
                }
                try await environment.startService()
            }, finish: { $0.client.clocks.differ = false })
    ]
}
