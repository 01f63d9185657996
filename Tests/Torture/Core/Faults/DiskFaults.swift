import Foundation
import Services
import TestSupport

extension Environment {
    /// Room on the small disk, in MiB, beyond the present size of the data folder.
    private static let room = 48

    /// Moves the data folder to a small disk of its own.
    fileprivate func moveToSmallDisk(withRedis: Bool) async throws {
        try await stopService()
        let size = try FileManager.default.subpathsOfDirectory(atPath: homeFolder).reduce(0) { sum, path in
            let attributes = try FileManager.default.attributesOfItem(atPath: homeFolder + "/" + path)
            return sum + ((attributes[.size] as? NSNumber)?.intValue ?? 0)
        }
        let small = try await offPool { [size] in try SmallDisk(mebibytes: size / 1_048_576 + Self.room) }
        try copyContents(of: homeFolder, to: small.pathFromOutside)
        disk = small
        usesPrivateRedis = withRedis
        try await startService()
    }

    fileprivate func moveBack() async throws {
        guard let small = disk else { return }
        try await stopService()
        for name in try FileManager.default.contentsOfDirectory(atPath: homeFolder) {
            try FileManager.default.removeItem(atPath: homeFolder + "/" + name)
        }
        try copyContents(of: small.pathFromOutside, to: homeFolder)
        (disk, usesPrivateRedis) = (nil, false)
        small.end()
        try await startService()
    }

    private func copyContents(of source: String, to target: String) throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: source) {
            // A socket cannot be copied, and its server creates a new one.
            if name.hasSuffix(".sock") { continue }
            try FileManager.default.copyItem(atPath: source + "/" + name, toPath: target + "/" + name)
        }
    }
}

extension Fault {
    private static func full(_ name: String, withRedis: Bool, killing: Bool = false) -> Fault {
        Fault(
            name, obstacle: { SmallDisk.whyUnavailable },
            prepare: { environment in
                try await environment.moveToSmallDisk(withRedis: withRedis)
            },
            inject: { environment in
                guard let disk = environment.disk else { throw NotReached(description: "there is no small disk") }
                try await offPool { try disk.fill() }
                try await environment.pause(milliseconds: 300...1_500)
                if killing { try await environment.killService() }
                try await offPool { try disk.free() }
                if killing { try await environment.restartService() }
            },
            finish: { environment in
                try await environment.moveBack()
            })
    }

    static let disk = [
        full("disk full", withRedis: false),
        full("disk full, private Redis on it", withRedis: true),
        full("disk full, then SIGKILL", withRedis: false, killing: true),
    ]
}
