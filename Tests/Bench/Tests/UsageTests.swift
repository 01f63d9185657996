import Foundation
import TestSupport
import Testing

@testable import Bench

@Suite("What the kernel says of CPU time")
struct UsageTests {
    @Test("a process's time is read after its name, which may contain any character")
    func process() throws {
        let stat = "42 (a (b) c 1) S 1 42 42 0 -1 4194560 1005 0 2 0 32 63 7 5 20 0 1 0 100 0 0"
        let usage = try #require(ProcessUsage(stat: stat))
        #expect(usage.own == CPUTicks(user: 32, system: 63))
        #expect(usage.endedChildren == CPUTicks(user: 7, system: 5))
        #expect(ProcessUsage(stat: "42 (cut off") == nil)
    }

    @Test("user and system time are separate, in microseconds")
    func microseconds() {
        let time = CPUTime(CPUTicks(user: 3, system: 4))
        #expect((time.user, time.system, time.all) == (30_000, 40_000, 70_000))
    }

    @Test("a server's children count with it, also after their end", .timeLimit(.minutes(5)))
    func children() async throws {
        // The loop takes many clock ticks, in a shell of its own.
        let busy = "i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done"
        let server = try await ChildProcess.start(["sh", "-c", "(\(busy)); echo ready; exec sleep 1000"], output: .collected)
        try await eventually("the child has ended") { server.output.contains("ready") }
        let (own, all) = (Watched(pid: server.pid), Watched(pid: server.pid, withChildren: true))
        #expect(all.childCount == 0)
        #expect(try all.cpuMicroseconds() > own.cpuMicroseconds())
        await server.end(SIGKILL)
    }

    @Test("several processes count together")
    func several() throws {
        let own = getpid()
        let twice = try Watched(pids: [own, own]).residentBytes()
        #expect(try twice > Watched(pid: own).residentBytes() * 3 / 2)
        let before = try Watched(pids: [own]).cpuMicroseconds()
        #expect(try Watched(pids: [own, own]).cpuMicroseconds() >= 2 * before && before > 0)
        #expect(try Watched(pids: []).cpuMicroseconds() == 0)
    }

    @Test("the machine is busy with all but idling and waiting for disks")
    func machine() throws {
        let time = try #require(MachineTime(stat: "cpu  10 1 20 300 40 2 3 4 5 6\ncpu0 1 1 1 1 1 1 1 1 1 1\n"))
        #expect((time.busy, time.all) == (400_000, 3_800_000))
        #expect(MachineTime(stat: "intr 1") == nil)
    }
}
