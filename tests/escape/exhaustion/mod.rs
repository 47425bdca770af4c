//! Uses more than its share.

mod descriptors;
mod disk_fill;
mod fork_bomb;
mod inode_fill;
mod kernel_buffers;
mod machine_pools;
mod memory_hog;
mod message_queues;
mod output_flood;
mod shared_memory;
mod sleep_forever;
mod spin;
mod stopped;
mod thread_bomb;
mod zombies;

use crate::harness::Probe;

pub(crate) const PROBES: &[&Probe] = &[
    &fork_bomb::PROBE,
    &thread_bomb::PROBE,
    &memory_hog::PROBE,
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
];
