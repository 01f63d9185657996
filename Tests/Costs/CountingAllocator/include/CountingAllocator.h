// Nothing to call: the library takes the allocator's place where it is preloaded. SwiftPM wants a header of every C target.
