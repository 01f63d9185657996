import API
import Foundation
import HTTPServer
import NIOCore
import Postgres
import Redis
import Services
import Store

/// Why a command failed, in one line.
package struct CommandError: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }

    /// The one-line form of an error of this package or of the system; `nil` for any other error.
    package static func describing(_ error: any Error) -> CommandError? {
        switch error {
        case let error as CommandError: error
        case let error as StoreError: CommandError(error.message)
        case let error as ServiceError: CommandError(error.message)
        case let error as PostgresError: CommandError("PostgreSQL: \(error.message)")
        case let error as RedisError: CommandError("Redis: \(error.message)")
        case let error as TokenKeyError: CommandError(error.message)
        case let error as AccessLogError: CommandError(error.description)
        case let error as ServerCertificate.Failure: CommandError(error.description)
        case let error as IOError: CommandError(systemReason(error.errnoCode))
        case let error as CocoaError: CommandError(error.inOneLine)
        case let error as KeySetError: CommandError(error.message)
        default: nil
        }
    }
}

extension Error {
    /// The system's reason for an error of Foundation, whose own texts do not say it; the error in one line where there is none.
    package var inOneLine: String {
        let error = self as NSError
        if let cause = error.userInfo[NSUnderlyingErrorKey] as? NSError, cause.domain == NSPOSIXErrorDomain {
            let path = error.userInfo[NSFilePathErrorKey].map { "\($0): " } ?? ""
            return path + systemReason(CInt(cause.code))
        }
        if error.domain == NSPOSIXErrorDomain { return systemReason(CInt(error.code)) }
        return "\(self)".split(whereSeparator: \.isNewline).joined(separator: " ")
    }
}
