package import NIOCore
