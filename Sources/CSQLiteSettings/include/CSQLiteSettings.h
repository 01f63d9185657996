#ifndef CSQLITE_SETTINGS_H
#define CSQLITE_SETTINGS_H

// Leaves out SQLite's statistics of its memory, which cost a lock around each allocation (SQLITE_CONFIG_MEMSTATUS).
// In C because sqlite3_config() takes variable arguments, which Swift cannot pass. Returns an SQLite result code: SQLITE_MISUSE once
// SQLite is in use, and then nothing has changed.
int csqlite_leave_out_memory_statistics(void);

#endif
