//! Admission, drivers, model clients and the store
