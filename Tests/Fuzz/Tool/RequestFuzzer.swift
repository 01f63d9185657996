import Foundation
import RequestFuzzing

/// Called by libFuzzer before it reads its arguments; writes the corpus and the dictionary that they name.
@_cdecl("LLVMFuzzerInitialize")
func writeCorpus(_ count: UnsafeMutablePointer<CInt>?, _ arguments: UnsafeMutableRawPointer?) -> CInt {
    guard let folder = ProcessInfo.processInfo.environment["FIRSTCOME_FUZZ_CORPUS"] else { return 0 }
    do {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for (number, trick) in RequestCorpus.all.enumerated() where trick.bytes.count < 4_096 {
            for piece: UInt8 in [0, 7] { try Data([piece] + trick.bytes).write(to: URL(fileURLWithPath: "\(folder)/\(number)-\(piece)")) }
        }
        let words = RequestCorpus.tokens.map { "\"" + $0.map { "\\x" + ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() + "\"\n" }
        try words.joined().write(toFile: folder + ".dict", atomically: true, encoding: .utf8)
    } catch {
        fatalError("the corpus is not written: \(error)")
    }
    return 0
}

/// Called by libFuzzer with each input: the first byte decides how it is split into pieces, the others are what a client sends.
@_cdecl("LLVMFuzzerTestOneInput")
func readOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let data, count > 0 else { return 0 }
    let bytes = Array(UnsafeBufferPointer(start: data + 1, count: count - 1))
    let pieces = data[0] == 0 ? [] : Array(repeating: Int(data[0]), count: bytes.count / Int(data[0]))
    let (whole, ours) = (Readers.ours(bytes, pieces: []), Readers.ours(bytes, pieces: pieces))
    guard whole.isSame(as: ours, byteCount: bytes.count) else {
        fatalError("in pieces of \(data[0]): \(Comparison.text(bytes))\n  whole: \(whole)\n  split: \(ours)")
    }
    if case .unknown(let disagreement) = Comparison.compare(bytes, ours: ours, oracle: Readers.oracle(bytes, pieces: pieces)) {
        fatalError("\(disagreement)")
    }
    return 0
}
