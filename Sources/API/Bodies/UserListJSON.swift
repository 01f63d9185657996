import JSON
import NIOCore

/// Reads `{"userIds": [1, 2, 3]}`. The ids are read in place: as values of a document, a million of them would take 100 MB.
///
/// The rest of the document is read as any other body is, with an empty array instead of the ids.
enum UserListJSON {
    static func read(_ bytes: UnsafeRawBufferPointer, into users: inout UniqueUsers) throws(RequestFault) {
        guard let array = arrayStart(bytes) else {
            // Refused for what is wrong with it, which the parser finds.
            try check(rest: ByteBuffer(bytes: bytes))
            throw RequestFault(field: "userIds", "must be an array of user ids")
        }
        let end = try readIDs(bytes, from: array, into: &users)
        var rest = ByteBuffer()
        rest.reserveCapacity(2 + bytes.count - (end - array))
        rest.writeBytes(bytes[..<array])
        rest.writeString("[]")
        rest.writeBytes(bytes[end...])
        try check(rest: rest)
    }

    /// Where the array of the member `userIds` begins; nil where the outermost object has no such member.
    private static func arrayStart(_ bytes: UnsafeRawBufferPointer) -> Int? {
        var (index, depth) = (0, 0)
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
            case UInt8(ascii: "\""):
                let start = index + 1
                index = endOfString(bytes, from: start)
                if depth == 1, index <= bytes.count, bytes[start..<index].elementsEqual("userIds".utf8),
                    let array = valueStart(bytes, after: index + 1), bytes[array] == UInt8(ascii: "[")
                {
                    return array
                }
            default: break
            }
            index += 1
        }
        return nil
    }

    /// The place of the quotation mark that ends a string.
    private static func endOfString(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
        var index = start
        while index < bytes.count, bytes[index] != UInt8(ascii: "\"") { index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1 }
        return min(index, bytes.count)
    }

    /// Where the value of a member begins whose name ends there; nil where no value follows.
    private static func valueStart(_ bytes: UnsafeRawBufferPointer, after end: Int) -> Int? {
        let colon = skipSpace(bytes, from: end)
        guard colon < bytes.count, bytes[colon] == UInt8(ascii: ":") else { return nil }
        let value = skipSpace(bytes, from: colon + 1)
        return value < bytes.count ? value : nil
    }

    private static func skipSpace(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
        var index = start
        while index < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[index]) { index += 1 }
        return index
    }

    /// Reads the ids, and returns where the array ends.
    private static func readIDs(
        _ bytes: UnsafeRawBufferPointer, from array: Int, into users: inout UniqueUsers
    ) throws(RequestFault) -> Int {
        var index = skipSpace(bytes, from: array + 1)
        if index < bytes.count, bytes[index] == UInt8(ascii: "]") { return index + 1 }
        var position = 0
        while true {
            let start = index
            while index < bytes.count, bytes[index] &- UInt8(ascii: "0") < 10 { index += 1 }
            guard let id = UserList.number(bytes, start, index) else { throw fault(position) }
            try users.add(id)
            index = skipSpace(bytes, from: index)
            guard index < bytes.count else { throw RequestFault(.invalid("The body is not valid JSON: the array does not end.")) }
            if bytes[index] == UInt8(ascii: "]") { return index + 1 }
            guard bytes[index] == UInt8(ascii: ",") else { throw fault(position) }
            index = skipSpace(bytes, from: index + 1)
            position += 1
        }
    }

    private static func fault(_ position: Int) -> RequestFault {
        RequestFault(field: "userIds[\(position)]", "must be a user id, a positive integer")
    }

    /// Refuses a document that is no object, or that is not valid.
    private static func check(rest: ByteBuffer) throws(RequestFault) {
        guard case .object = try JSONBody.parsed(rest) else { throw RequestFault(.invalid("The body must be a JSON object.")) }
    }
}
