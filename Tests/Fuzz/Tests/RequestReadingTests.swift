import Foundation
import RequestFuzzing
import TestSupport
import Testing

/// The server's reader of requests, compared with NIOHTTP1's decoder.
@Suite("Reading requests")
struct RequestReadingTests {
    @Test("every known trick is read as the decoder reads it, or otherwise for a reason that is written down, however it is split")
    func corpus() async throws {
        let (failures, unmet) = try await offPool {
            var (failures, unmet) = ([String](), Set(Difference.all.map(\.name)))
            for trick in RequestCorpus.all {
                for pieces in [[], Array(repeating: 1, count: min(trick.bytes.count, 4_000)), [trick.bytes.count / 2]] {
                    let ours = Readers.ours(trick.bytes, pieces: pieces)
                    let oracle = Readers.oracle(trick.bytes, pieces: pieces)
                    switch Comparison.compare(trick.bytes, ours: ours, oracle: oracle) {
                    case .same: break
                    case .known(let difference): unmet.remove(difference.name)
                    case .unknown(let disagreement): failures.append("\(trick.name), \(pieces.count) pieces: \(disagreement)")
                    }
                }
            }
            return (failures, unmet)
        }
        for failure in failures { Issue.record("\(failure)") }
        #expect(unmet.isEmpty, "differences that no entry of the corpus shows")
    }

    @Test("random requests in random pieces are read as the decoder reads them, or otherwise for a reason that is written down")
    func random() async throws {
        let seed = TestSettings.seed
        let wanted = TestSettings.number("FIRSTCOME_FUZZ_REQUESTS")
        let failures = try await offPool {
            let end = ContinuousClock.now + .seconds(wanted == nil ? 20 : 36_000)
            var generator = RequestGenerator(seed: seed)
            var (requests, inputs, failures) = (0, 0, [String]())
            while requests < wanted ?? 60_000, ContinuousClock.now < end, failures.count < 5 {
                let bytes = generator.next()
                let pieces = generator.pieces(of: bytes.count)
                let whole = Readers.ours(bytes, pieces: [])
                let ours = Readers.ours(bytes, pieces: pieces)
                if !whole.isSame(as: ours, byteCount: bytes.count) {
                    failures.append("input \(inputs) in pieces \(pieces): \(Comparison.text(bytes))\n  whole: \(whole)\n  split: \(ours)")
                }
                let oracle = Readers.oracle(bytes, pieces: pieces)
                if case .unknown(let disagreement) = Comparison.compare(bytes, ours: ours, oracle: oracle) {
                    failures.append("input \(inputs): \(disagreement)")
                }
                inputs += 1
                requests += max(oracle.requests.count, 1)
            }
            print("reading requests: SEED=\(seed), \(inputs) inputs, \(requests) requests")
            return failures
        }
        for failure in failures { Issue.record("SEED=\(seed) \(failure)") }
    }
}
