#ifndef FIRSTCOME_CLIBPQ_SHIM_H
#define FIRSTCOME_CLIBPQ_SHIM_H

// Debian keeps the header in a folder of its own.
#if __has_include(<libpq-fe.h>)
#include <libpq-fe.h>
#else
#include <postgresql/libpq-fe.h>
#endif

// The fields of an error or a notice. libpq has macros with character constants, which Swift cannot import.
enum {
    clibpqSeverity = PG_DIAG_SEVERITY_NONLOCALIZED,
    clibpqSQLState = PG_DIAG_SQLSTATE,
    clibpqPrimaryMessage = PG_DIAG_MESSAGE_PRIMARY,
    clibpqDetail = PG_DIAG_MESSAGE_DETAIL,
    clibpqHint = PG_DIAG_MESSAGE_HINT,
    clibpqConstraint = PG_DIAG_CONSTRAINT_NAME,
    clibpqTable = PG_DIAG_TABLE_NAME,
    clibpqSourceFunction = PG_DIAG_SOURCE_FUNCTION,
};

#endif
