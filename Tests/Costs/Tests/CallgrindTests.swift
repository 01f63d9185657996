import Bench
import Testing

@testable import firstcome_costs

@Suite("what valgrind prints")
struct CallgrindTests {
    @Test("the threads that work for requests are those that Dispatch does not run")
    func threads() {
        let text = """
            sched status:
              running_tid=4

            Thread 1: status = VgTs_WaitSys syscall 130 (lwpid 5123)
            ==5123==    at 0x634E301: sigsuspend (sigsuspend.c:26)
            ==5123==    by 0x1CA9548: _dispatch_sig_thread (in /tmp/firstcome)

            Thread 2: status = VgTs_WaitSys syscall 202 (lwpid 5131)
            ==5123==    at 0x640A38F: futex_wait (futex.c:26)
            ==5123==    by 0x1CA880C: _dispatch_worker_thread (in /tmp/firstcome)

            Thread 3: status = VgTs_WaitSys syscall 202 (lwpid 5132)
            ==5123==    at 0x640A38F: futex_wait (futex.c:26)
            ==5123==    by 0x1CA880C: _dispatch_lane_barrier_sync_invoke_and_complete (in /tmp/firstcome)
            ==5123==    by 0x1CA880D: $s5Store17GroupCommitWriterC (in /tmp/firstcome)

            Thread 11: status = VgTs_WaitSys syscall 232 (lwpid 5136)
            ==5123==    at 0x640A38F: epoll_wait (epoll_wait.c:30)

            """
        #expect(InstructionMeter.requestThreads(in: text) == [3, 11])
    }

    @Test("each thread has its count")
    func counts() {
        let text = "events: Ir\nthreads: 1 2\nevents-1: 54730639\nframes-1: 8\nevents-1-0: 49673761\nevents-11: 57898421\n"
        #expect(InstructionMeter.counts(in: text) == [1: 54_730_639, 11: 57_898_421])
    }
}

@Suite("the report of costs")
struct CostReportTests {
    private func report(_ cost: RouteCost, _ thresholds: Thresholds) -> CostReport {
        CostReport(result: CostRun.Result(reference: 7_000, costs: [cost]), thresholds: thresholds)
    }

    @Test("a route that costs more than allowed is a problem, and so is one without a threshold")
    func problems() {
        let cost = RouteCost(route: .soldOut, allocations: 3, instructions: 14_700)
        #expect(report(cost, Thresholds(allocations: [.soldOut: 3], instructions: [.soldOut: 2.1])).problems == [])
        #expect(
            report(cost, Thresholds(allocations: [.soldOut: 2], instructions: [:])).problems == [
                "claim, sold out: allocations: TOO MUCH", "claim, sold out: instructions: no threshold",
            ])
    }

    @Test("a missed target is shown and is no problem")
    func targets() {
        let cost = RouteCost(route: .soldOut, allocations: 1, instructions: 14_700)
        let report = report(cost, Thresholds(allocations: [.soldOut: 1], instructions: [.soldOut: 2.1]))
        #expect(report.targets.map(\.words) == ["met", "exceeded"])
        #expect(self.report(RouteCost(route: .soldOut, allocations: 4), Thresholds(allocations: [.soldOut: 4])).problems == [])
        #expect(report.text.contains("| claim, sold out |"))
    }
}
