//! Uses more than its share.

mod descriptors;
mod descriptors_in_flight;
mod disk_fill;
mod event_objects;
mod fork_bomb;
mod inode_fill;
mod kernel_buffers;
mod kernel_timers;
mod locked_memory;
mod machine_pools;
mod mappings;
mod memory_hog;
mod message_queues;
mod missing_names;
mod output_flood;
mod page_cache;
mod page_tables;
mod pipe_buffers;
mod posix_queues;
mod process_numbers;
mod semaphores;
mod shared_memory;
mod sleep_forever;
mod sockets_in_cycles;
mod spin;
mod stopped;
mod terminals;
mod thread_bomb;
mod unnamed_memory;
mod unreadable_memory;
mod watches;
mod zombies;

use crate::harness::Probe;

pub(crate) const PROBES: &[&Probe] = &[
    &fork_bomb::PROBE,
    &thread_bomb::PROBE,
    &memory_hog::PROBE,
    &unreadable_memory::PROBE,
    &unnamed_memory::PROBE,
    &disk_fill::PROBE,
    &inode_fill::PROBE,
    &shared_memory::PROBE,
    &kernel_buffers::PROBE,
    &output_flood::PROBE,
    &descriptors::PROBE,
    &sleep_forever::PROBE,
    &spin::PROBE,
    &stopped::PROBE,
    &zombies::PROBE,
    &message_queues::PROBE,
    &machine_pools::PROBE,
    &terminals::PROBE,
    &watches::PROBE,
    &page_cache::PROBE,
    &pipe_buffers::PROBE,
    &descriptors_in_flight::PROBE,
    &sockets_in_cycles::PROBE,
    &locked_memory::PROBE,
    &event_objects::PROBE,
    &kernel_timers::PROBE,
    &semaphores::PROBE,
    &posix_queues::PROBE,
    &page_tables::PROBE,
    &mappings::PROBE,
    &missing_names::PROBE,
    &process_numbers::PROBE,
];
