import Foundation
import TestSupport
import Testing

extension Trait where Self == ConditionTrait {
    /// Skips, and says why, where the machine gives no right to mount a small disk.
    static var needsSmallDisk: Self {
        .enabled(if: SmallDisk.whyUnavailable == nil, "\(SmallDisk.whyUnavailable ?? "")")
    }
}

extension EndToEnd {
    @Suite("A small disk", .needsSmallDisk)
    struct SmallDiskTests {}
}

extension EndToEnd.SmallDiskTests {
    @Test("it is full when it is filled, has room again when freed, and nobody outside sees it under its name")
    func filled() async throws {
        try await withSmallDisk(mebibytes: 2) { disk in
            let file = disk.pathFromOutside + "/file"
            #expect((try? Data("before".utf8).write(to: URL(fileURLWithPath: file))) != nil)
            try disk.fill()
            #expect(disk.bytesFree == 0)
            #expect((try? Data(repeating: 1, count: 10_000).write(to: URL(fileURLWithPath: file + "2"))) == nil)
            #expect(try String(contentsOfFile: file, encoding: .utf8) == "before")
            try disk.free()
            #expect(disk.bytesFree > 1 << 20)
            #expect(try FileManager.default.contentsOfDirectory(atPath: disk.folder).isEmpty)
        }
    }

    @Test("a program inside keeps the id it was started with, and ends with the disk")
    func program() async throws {
        let disk = try await offPool { try SmallDisk(mebibytes: 1) }
        defer { disk.end() }
        let command = disk.command(wrapping: ["sh", "-c", "echo $$ > \(disk.folder)/pid; exec sleep 600"])
        let process = try await ChildProcess.start(command)
        let pid = "\(process.pid)\n"
        try await eventually("the program has written") {
            (try? String(contentsOfFile: disk.pathFromOutside + "/pid", encoding: .utf8)) == pid
        }
        disk.end()
        try await eventually("the program has ended") { !process.isRunning }
        #expect(process.ending == .signaled(SIGKILL))
        #expect(!FileManager.default.fileExists(atPath: disk.folder))
    }
}
