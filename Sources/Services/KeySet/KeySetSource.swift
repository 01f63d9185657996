import Foundation

/// Where an issuer publishes its public keys (a JSON Web Key Set): a file or an address.
package struct KeySetSource: Sendable, Equatable, CustomStringConvertible {
    enum Place: Sendable, Equatable {
        case file(String)
        case address(String)
    }

    let place: Place

    /// Reads the value of `--jwks`: a text with `://` is an address, any other one the path of a file.
    package init(_ text: String) throws(KeySetError) {
        guard text.contains("://") else {
            guard !text.isEmpty else { throw KeySetError(code: .malformed, "the name of a file or an http:// or https:// URL is expected") }
            place = .file(text)
            return
        }
        guard let url = URLComponents(string: text), ["http", "https"].contains(url.scheme?.lowercased()), let host = url.host,
            !host.isEmpty
        else { throw KeySetError(code: .malformed, "only http:// and https:// URLs are read") }
        guard url.user == nil, url.password == nil else { throw KeySetError(code: .malformed, "a URL with a user name is not read") }
        place = .address(text)
    }

    /// Whether it is read over a network without TLS, where others may replace the keys.
    package var isUnprotected: Bool {
        guard case .address(let text) = place, let url = URLComponents(string: text) else { return false }
        return url.scheme?.lowercased() == "http" && !["127.0.0.1", "localhost", "::1", "[::1]"].contains(url.host?.lowercased())
    }

    /// For messages: without the query, which may hold a secret.
    package var description: String {
        switch place {
        case .file(let path): return path
        case .address(let text):
            guard var url = URLComponents(string: text) else { return "URL" }
            (url.query, url.fragment) = (nil, nil)
            return url.string ?? "URL"
        }
    }
}

/// Why a key set cannot be used. The message goes on after the name of its place: "cannot be opened: ...".
package struct KeySetError: Error, CustomStringConvertible, Equatable {
    package enum Code: Sendable, Hashable {
        /// The file or the server cannot be read.
        case unreachable
        /// What was read is no key set that can be used.
        case malformed
        /// Others can write to the file.
        case exposed
    }

    package let code: Code
    package let message: String

    package init(code: Code, _ message: String) { (self.code, self.message) = (code, message) }

    package var description: String { message }
}
