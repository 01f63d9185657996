import Commerce
import HTTPServer
import JSON
import NIOCore

/// Reads the users of a list, which may have a million of them. Takes seconds for a long one, so it must not run on an event loop.
enum UserList {
    /// The users of the longest list, one who is named twice counted twice.
    static let mostUsers = 1_000_000

    enum Format: Sendable {
        case csv, json

        /// The format that a request names.
        init(_ request: HTTPRequest) throws(RequestFault) {
            let type = request.value(of: .contentType)
            if JSONBody.isJSON(type) {
                self = .json
            } else if JSONBody.isMediaType(type, "text/csv") {
                self = .csv
            } else {
                throw RequestFault(.unsupportedListType)
            }
        }
    }

    /// The users, each once, in the order in which they are first named.
    static func read(_ body: ByteBuffer, _ format: Format) throws(RequestFault) -> [UserID] {
        var users = UniqueUsers()
        let result = body.withUnsafeReadableBytes { bytes -> Result<Void, RequestFault> in
            do throws(RequestFault) {
                switch format {
                case .csv: try readCSV(bytes, into: &users)
                case .json: try UserListJSON.read(bytes, into: &users)
                }
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        try result.get()
        guard !users.ids.isEmpty else { throw RequestFault(.invalid("The list names no user.")) }
        return users.ids
    }

    // MARK: - CSV

    /// One id in the first column of each line; the first line may be the header `userId`.
    private static func readCSV(_ bytes: UnsafeRawBufferPointer, into users: inout UniqueUsers) throws(RequestFault) {
        var (start, line, isFirst) = (0, 0, true)
        // Excel begins UTF-8 files so.
        if bytes.count >= 3, bytes[0] == 0xEF, bytes[1] == 0xBB, bytes[2] == 0xBF { start = 3 }
        while start < bytes.count {
            line += 1
            var end = start
            while end < bytes.count, bytes[end] != UInt8(ascii: "\n") { end += 1 }
            let next = end + 1
            if end > start, bytes[end - 1] == UInt8(ascii: "\r") { end -= 1 }
            if end > start {
                var column = start
                while column < end, bytes[column] != UInt8(ascii: ",") { column += 1 }
                if let id = number(bytes, start, column) {
                    try users.add(id)
                } else if !(isFirst && isHeader(bytes, start, column)) {
                    throw RequestFault(field: "line \(line)", "must begin with a user id, a positive integer")
                }
                isFirst = false
            }
            start = next
        }
    }

    private static func isHeader(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ end: Int) -> Bool {
        bytes[start..<end].elementsEqual("userId".utf8)
    }

    /// The positive integer that the bytes spell; nil for anything else, leading zeros included.
    static func number(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ end: Int) -> Int64? {
        guard start < end, end - start <= 19, bytes[start] != UInt8(ascii: "0") else { return nil }
        var number: Int64 = 0
        for index in start..<end {
            let digit = bytes[index] &- UInt8(ascii: "0")
            guard digit < 10 else { return nil }
            let (product, overflow) = number.multipliedReportingOverflow(by: 10)
            let (sum, overflowOfSum) = product.addingReportingOverflow(Int64(digit))
            guard !overflow, !overflowOfSum else { return nil }
            number = sum
        }
        return number
    }
}

/// Users in the order in which they were first added.
struct UniqueUsers {
    private(set) var ids: [UserID] = []
    private var added = 0
    /// Places in `ids` plus one, by hash; 0 is free. At most half of them are taken. A table of numbers, because a set of a million ids
    /// takes three times the memory.
    private var slots = [UInt32](repeating: 0, count: 2_048)
    /// Random, so that a client cannot choose ids that collide.
    private let seed = UInt64.random(in: .min ... .max) | 1

    /// - Throws: 413 for one user more than a list may name.
    mutating func add(_ rawID: Int64) throws(RequestFault) {
        added += 1
        guard added <= UserList.mostUsers else {
            throw RequestFault(Problem(code: .payloadTooLarge, detail: "The list names more than \(UserList.mostUsers) users."))
        }
        if 2 * (ids.count + 1) > slots.count { grow() }
        let place = slot(of: rawID)
        guard slots[place] == 0 else { return }
        ids.append(UserID(rawID))
        slots[place] = UInt32(ids.count)
    }

    /// The slot of the id, or the free one where it belongs.
    private func slot(of id: Int64) -> Int {
        let product = (UInt64(bitPattern: id) ^ seed).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15 ^ (seed << 1))
        var place = Int(truncatingIfNeeded: product.high ^ product.low) & (slots.count - 1)
        while slots[place] != 0, ids[Int(slots[place]) - 1].rawValue != id { place = (place + 1) & (slots.count - 1) }
        return place
    }

    private mutating func grow() {
        slots = [UInt32](repeating: 0, count: 2 * slots.count)
        for (index, id) in ids.enumerated() { slots[slot(of: id.rawValue)] = UInt32(index + 1) }
    }
}
