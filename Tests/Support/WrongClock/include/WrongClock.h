// Nothing to call: the library takes the place of libc's functions where it is preloaded. SwiftPM wants a header of every C target.
