import Foundation

/// A disk of a few MiB for one test: a tmpfs that no other process sees and that disappears however the test ends.
///
/// It is mounted in a mount namespace of its own, which a small shell holds open until the pipe from this process closes. Then
/// the shell ends every process that is still in the namespace, and the mount ends with the last of them. So only
/// programs started by ``command(wrapping:)`` find the files at ``folder``; this process reaches them at ``pathFromOutside``.
package final class SmallDisk: Sendable {
    /// The machine does not allow this process to mount a file system, or lacks a tool for it.
    package struct Unavailable: Error, CustomStringConvertible {
        package let description: String
    }

    /// Where the disk is mounted, for programs inside.
    package let folder: String
    /// The path of the same folder for all other processes.
    package let pathFromOutside: String
    /// The shell that holds the namespace.
    package let holder: Int32
    private let lifeline: Pipe
    private let shell: BlockingChildProcess

    /// Whether a user namespace is needed, in which an ordinary user is mapped to root and may mount a tmpfs.
    private static let needsUserNamespace = geteuid() != 0

    /// Mounts a disk with room for that much.
    ///
    /// - Throws: ``Unavailable`` where the machine does not allow it.
    package init(mebibytes: Int) throws {
        // Not the usual temporary folder: a unix socket's path holds 107 bytes at most (sun_path).
        folder = "/tmp/fd-\(UInt32.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        let output = Pipe()
        lifeline = Pipe()
        do {
            shell = try BlockingChildProcess(
                ["unshare"] + (Self.needsUserNamespace ? ["--user", "--map-root-user"] : [])
                    + ["--mount", "--propagation", "private", "--", "sh", "-c", Self.script, folder, String(mebibytes)],
                input: lifeline, output: output)
        } catch {
            try? FileManager.default.removeItem(atPath: folder)
            throw Unavailable(description: "no shell for a small disk: \(error)")
        }
        holder = shell.pid
        pathFromOutside = "/proc/\(holder)/root\(folder)"
        let said = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        guard said.hasPrefix("mounted") else {
            end()
            throw Unavailable(description: "a small disk cannot be mounted here: \(said.trimmingCharacters(in: .whitespacesAndNewlines))")
        }
    }

    deinit { end() }

    /// Why a small disk is not available on this machine; nil where it is. Tests that need one are skipped with this reason.
    package static let whyUnavailable: String? = {
        do {
            try SmallDisk(mebibytes: 1).end()
            return nil
        } catch {
            return "\(error)"
        }
    }()

    /// Mounts the disk, and at the end kills every process of the namespace except the shell itself (`$$`).
    private static let script = #"""
        mount -t tmpfs -o "size=$1m,mode=700" small-disk "$0" && echo mounted || exit 1
        read -r _
        own=$(readlink "/proc/$$/ns/mnt")
        for process in /proc/[0-9]*; do
            pid=${process#/proc/}
            [ "$pid" = $$ ] || [ "$(readlink "$process/ns/mnt")" != "$own" ] || kill -KILL "$pid"
        done 2>/dev/null
        umount -l "$0"
        rmdir "$0"
        """#

    /// The command that runs another one in the disk's namespace, by `exec`, so that the process keeps its id.
    package func command(wrapping command: [String]) -> [String] {
        ["nsenter", "--target", String(holder)] + (Self.needsUserNamespace ? ["--user", "--preserve-credentials"] : [])
            + ["--mount", "--"] + command
    }

    /// Ends every process in the disk's namespace, and the disk.
    package func end() {
        try? lifeline.fileHandleForWriting.close()
        shell.wait()
        // The shell has removed it, unless it failed before the mount.
        try? FileManager.default.removeItem(atPath: folder)
    }
}

// MARK: - Filling it

extension SmallDisk {
    private var ballast: String { pathFromOutside + "/ballast" }

    /// Bytes that could still be written.
    package var bytesFree: Int {
        var status = statvfs()
        return statvfs(pathFromOutside, &status) == 0 ? Int(status.f_bavail) * Int(status.f_frsize) : 0
    }

    /// Writes a file until the disk is full; called again, it fills what was freed meanwhile.
    package func fill() throws {
        let descriptor = open(ballast, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        defer { close(descriptor) }
        let page = [UInt8](repeating: 0xFF, count: 4_096)
        while write(descriptor, page, page.count) > 0 {}
        guard errno == ENOSPC else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
    }

    /// Fills the last page of the file at that path in ``folder``, by which the file could still grow on a full disk.
    package func fillLastPage(of path: String) throws {
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: pathFromOutside + "/" + path))
        defer { try? file.close() }
        let size = try file.seekToEnd()
        try file.write(contentsOf: Data(repeating: UInt8(ascii: "\n"), count: Int((4_096 - size % 4_096) % 4_096)))
    }

    /// Removes the file of ``fill()``.
    package func free() throws { try FileManager.default.removeItem(atPath: ballast) }
}

/// Runs `body` with a disk that ends with it, also when it throws.
package func withSmallDisk<Result>(
    mebibytes: Int, isolation: isolated (any Actor)? = #isolation, _ body: (SmallDisk) async throws -> Result
) async throws -> Result {
    let disk = try await offPool { try SmallDisk(mebibytes: mebibytes) }
    defer { disk.end() }
    return try await body(disk)
}
