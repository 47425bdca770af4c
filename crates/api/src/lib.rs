//! Wire types, stored records, exit codes, schemas and data set readers
