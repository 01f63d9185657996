import NIOCore
import Testing

@testable import Redis

@Suite struct EncodingTests {
    static let words: [(RedisArgument, String)] = [
        ("GET", "$3\r\nGET\r\n"),
        ("", "$0\r\n\r\n"),
        ("쿠폰", "$6\r\n쿠폰\r\n"),
        ("a longer word than fits into a small string", "$43\r\na longer word than fits into a small string\r\n"),
        (0, "$1\r\n0\r\n"),
        (9, "$1\r\n9\r\n"),
        (10, "$2\r\n10\r\n"),
        (-1, "$2\r\n-1\r\n"),
        (.integer(.max), "$19\r\n9223372036854775807\r\n"),
        (.integer(.min), "$20\r\n-9223372036854775808\r\n"),
        (.bytes(ByteBuffer(string: "a\r\nb")), "$4\r\na\r\nb\r\n"),
        (.bytes(ByteBuffer()), "$0\r\n\r\n"),
        (RedisArgument(UInt8(7)), "$1\r\n7\r\n"),
    ]

    @Test("a word is written with its length in bytes", arguments: words)
    func word(argument: RedisArgument, bytes: String) {
        var buffer = ByteBuffer()
        buffer.writeRedisArgument(argument)
        #expect(String(buffer: buffer) == bytes)
    }

    @Test("a word of any length around the powers of ten is written whole", arguments: [9, 10, 99, 100, 999, 1000, 100_000])
    func longWord(length: Int) {
        var buffer = ByteBuffer()
        buffer.writeRedisArgument(.string(String(repeating: "x", count: length)))
        #expect(String(buffer: buffer) == "$\(length)\r\n" + String(repeating: "x", count: length) + "\r\n")
    }

    @Test("a command is an array of its words")
    func command() {
        var buffer = ByteBuffer()
        RedisCommand("SET", "key", 12).encode(into: &buffer)
        #expect(String(buffer: buffer) == "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$2\r\n12\r\n")
    }

    @Test("a script is called by digest, and with its source where the server forgot it")
    func script() {
        let script = RedisScript(name: "one", source: "return 1", keyCount: 1)
        let command = RedisCommand(script, keys: ["k"], arguments: ["a", 2])
        var buffer = ByteBuffer()
        command.encode(into: &buffer)
        let call = "$1\r\n1\r\n$1\r\nk\r\n$1\r\na\r\n$1\r\n2\r\n"
        #expect(String(buffer: buffer) == "*6\r\n$7\r\nEVALSHA\r\n$40\r\ne0e1f9fabfc9d4800c877a703b823ac0578ff8db\r\n" + call)
        buffer.clear()
        command.encode(into: &buffer, withSource: true)
        #expect(String(buffer: buffer) == "*6\r\n$4\r\nEVAL\r\n$8\r\nreturn 1\r\n" + call)
    }

    @Test(
        "SHA-1 agrees with the vectors of FIPS 180",
        arguments: [
            ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            ("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1"),
            (String(repeating: "a", count: 1_000_000), "34aa973cd4c4daa4f61eeb2bdbad27316534016f"),
        ])
    func sha1(message: String, digest: String) {
        #expect(SHA1.hexadecimal(of: message.utf8) == digest)
    }
}
