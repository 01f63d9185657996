import Testing

@testable import Bench

@Suite("What the kernel says of CPU time")
struct UsageTests {
    @Test("a process' time is read behind its name, which may hold anything")
    func process() throws {
        let stat = "42 (a (b) c 1) S 1 42 42 0 -1 4194560 1005 0 2 0 32 63 7 5 20 0 1 0 100 0 0"
        let usage = try #require(ProcessUsage(stat: stat))
        #expect((usage.ticks, usage.endedChildrenTicks) == (95, 12))
        #expect(ProcessUsage(stat: "42 (cut off") == nil)
    }

    @Test("the machine is busy with all but idling and waiting for disks")
    func machine() throws {
        let time = try #require(MachineTime(stat: "cpu  10 1 20 300 40 2 3 4 5 6\ncpu0 1 1 1 1 1 1 1 1 1 1\n"))
        #expect((time.busy, time.all) == (400_000, 3_800_000))
        #expect(MachineTime(stat: "intr 1") == nil)
    }
}
