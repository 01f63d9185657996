#ifndef CSQLITE_SETTINGS_H
#define CSQLITE_SETTINGS_H

// Turns off SQLite's memory statistics, which cost a lock around each allocation (SQLITE_CONFIG_MEMSTATUS).
// In C because sqlite3_config() takes variable arguments, which Swift cannot pass. Returns an SQLite result code: SQLITE_MISUSE if
// SQLite is already in use; then nothing has changed.
int csqlite_disable_memory_statistics(void);

#endif
