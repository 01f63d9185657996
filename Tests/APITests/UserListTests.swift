import Commerce
import HTTPServer
import NIOCore
import Testing

@testable import API

@Suite("Lists of users")
struct UserListTests {
    private func read(_ text: String, _ format: UserList.Format) throws -> [Int64] {
        try UserList.read(ByteBuffer(string: text), format).map(\.rawValue)
    }

    private func fault(_ text: String, _ format: UserList.Format) -> Problem? {
        do {
            _ = try read(text, format)
            return nil
        } catch {
            return (error as? RequestFault)?.problem
        }
    }

    @Test(
        "a CSV list has one id in the first column of each line",
        arguments: [
            "1\n2\n3", "1\n2\n3\n", "1\r\n2\r\n3\r\n", "userId\n1\n2\n3\n", "userId,name\r\n1,Kim\r\n2,\"Lee\"\r\n3,\r\n",
            "\n\nuserId\n\n1\n\n2\n3\n\n", "\u{FEFF}userId\n1\n2\n3", "1\n1\n2\n1\n3\n2\n", "1,2,3\n2\n3",
        ])
    func csv(_ text: String) throws {
        #expect(try read(text, .csv) == [1, 2, 3])
    }

    @Test(
        "a malformed line is named by its number",
        arguments: [
            ("1\nx\n", 2), ("1\n\n0\n", 3), ("-1", 1), ("+1", 1), ("01", 1), ("1 ", 1), (" 1", 1), ("1.0", 1), ("1\nuserId\n", 2),
            ("9223372036854775808", 1), ("99999999999999999999", 1), ("userId\nuserId\n", 2), ("1\n,1\n", 2), ("1\n\r\r\n", 2),
            ("\"1\"", 1), ("UserId\n1", 1),
        ])
    func malformedLines(_ text: String, _ line: Int) {
        #expect(fault(text, .csv)?.faults.map(\.field) == ["line \(line)"])
    }

    @Test(
        "a JSON list has the ids in userIds, and other members are ignored",
        arguments: [
            #"{"userIds":[1,2,3]}"#, " {\n \"userIds\" : [ 1 , 2,\t3 ] } ",
            #"{"a":[{"userIds":[9]}],"userIds":[1,2,1,3],"b":"\"userIds\":[9]"}"#,
            #"{"userId":7,"userIds":[1,2,3],"note":null}"#,
        ])
    func json(_ text: String) throws {
        #expect(try read(text, .json) == [1, 2, 3])
    }

    @Test(
        "a malformed document is refused",
        arguments: [
            "", "[1]", "{", "{}", "7", #"{"userIds":1}"#, #"{"userIds":[1}"#, #"{"userIds":[1,]}"#, #"{"userIds":[,1]}"#,
            #"{"userIds":["1"]}"#, #"{"userIds":[1.5]}"#, #"{"userIds":[0]}"#, #"{"userIds":[-1]}"#, #"{"userIds":[01]}"#,
            #"{"userIds":[1e3]}"#, #"{"userIds":[1 2]}"#, #"{"userIds":[1]"#, #"{"userIds":[1"#, #"{"userIds":[1]}}"#, #"{"userIds":[1],}"#,
            #"{"userIds":[1],"userIds":[2]}"#, #"{"userIds":[9223372036854775808]}"#, #"{"userIds":[[1]]}"#, #"{"x":{"userIds":[1]}}"#,
            #"{"userIds":[1],"x":tru}"#, #"{x:1,"userIds":[1]}"#, #"{"userIds"#, #"{"userIds":"#, #"{"a\"#, #"{"userIds":[]}"#,
            "{\"userIds\":[1],\"x\":\"\n\"}",
        ])
    func malformedDocuments(_ text: String) {
        #expect(fault(text, .json)?.code == .invalidRequest)
    }

    @Test("a list without a user is refused", arguments: ["", "\n\n", "userId", "userId\r\n\r\n", "\u{FEFF}"])
    func empty(_ text: String) {
        #expect(fault(text, .csv)?.code == .invalidRequest)
    }

    @Test("a million users are the most, one who is named twice counted twice")
    func most() throws {
        let line = "1234567\n"
        #expect(try read(String(repeating: line, count: UserList.mostUsers), .csv) == [1_234_567])
        #expect(fault(String(repeating: line, count: UserList.mostUsers + 1), .csv)?.code == .payloadTooLarge)
    }

    @Test("users keep the order in which they are first named, however many they are")
    func order() throws {
        var random = SystemRandomNumberGenerator()
        let ids = (0..<50_000).map { _ in Int64.random(in: 1...40_000, using: &random) }
        var seen: Set<Int64> = []
        #expect(try read(ids.map(String.init).joined(separator: "\n"), .csv) == ids.filter { seen.insert($0).inserted })
    }
}
