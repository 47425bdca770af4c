//! From a table of rules to classic BPF.
//!
//! The filter runs on every system call, so calls are found by binary search over ranges of equal treatment:
//! about eight comparisons, where a chain of tests would take hundreds.

use std::collections::BTreeMap;

use rollcage_sys::notification::ASK;
use rollcage_sys::seccomp::Instruction;

/// What happens to a system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// It proceeds.
    Allow,
    /// It fails with this errno.
    Fail(i32),
    /// It proceeds if an argument's low half, masked, has one of these values; otherwise it fails.
    AllowIf {
        /// Which argument, from 0.
        argument: u32,
        /// Applied first.
        mask: u32,
        /// Accepted after masking.
        values: Vec<u32>,
        /// Otherwise.
        errno: i32,
    },
    /// As `AllowIf` with 0 for the only value; and it proceeds if the whole of the argument's low half is `exact`.
    AllowIfClearOr {
        /// Which argument, from 0.
        argument: u32,
        /// Applied where it is not `exact`.
        mask: u32,
        /// Accepted as it is.
        exact: u32,
        /// Otherwise.
        errno: i32,
    },
    /// It proceeds if a pointer argument is null; otherwise it fails.
    AllowIfNull {
        /// Which argument, from 0.
        argument: u32,
        /// Otherwise.
        errno: i32,
    },
    /// It fails if an argument's low half has one of these values; otherwise it proceeds.
    FailIf {
        /// Which argument, from 0.
        argument: u32,
        /// Refused.
        values: Vec<u32>,
        /// With this.
        errno: i32,
    },
}

/// The treatment of each call by number, and of all others.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) listed: BTreeMap<u32, Rule>,
    pub(crate) otherwise: Rule,
}

// linux/bpf_common.h
const LOAD_WORD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
const RETURN: u16 = 0x06;
// linux/seccomp.h
const KILL_PROCESS: u32 = 0x8000_0000;
const ERRNO: u32 = 0x0005_0000;
const ALLOW: u32 = 0x7fff_0000;
/// `AUDIT_ARCH_X86_64` of linux/audit.h.
const ARCHITECTURE: u32 = 0xc000_003e;
/// Numbers from here on are the x32 interface, which nothing here needs.
const X32_BIT: u32 = 0x4000_0000;
// struct seccomp_data: nr, arch, instruction_pointer, args[6].
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const ARGUMENTS_AT: u32 = 16;

fn plain(code: u16, operand: u32) -> Instruction {
    Instruction { code, jump_true: 0, jump_false: 0, operand }
}

fn jump(code: u16, operand: u32, jump_true: usize, jump_false: usize) -> Instruction {
    let short = |distance: usize| u8::try_from(distance).expect("the rule table keeps every jump below 256");
    Instruction { code, jump_true: short(jump_true), jump_false: short(jump_false), operand }
}

fn fail(errno: i32) -> Instruction {
    plain(RETURN, ERRNO | errno.cast_unsigned())
}

/// Compiles `rules`. A call of another architecture or of x32 kills the process: no honest program makes one.
pub(crate) fn assemble(rules: &Rules) -> Vec<Instruction> {
    let mut out = vec![
        plain(LOAD_WORD, ARCHITECTURE_AT),
        jump(JUMP_EQUAL, ARCHITECTURE, 1, 0),
        plain(RETURN, KILL_PROCESS),
        plain(LOAD_WORD, NUMBER_AT),
        jump(JUMP_GREATER_OR_EQUAL, X32_BIT, 0, 1),
        plain(RETURN, KILL_PROCESS),
    ];
    out.extend(search(&ranges(rules)));
    out
}

/// A filter that has somebody outside asked about clone(2) with exactly these flags, and lets all else pass.
pub(crate) fn asking_about_clones_with(call: u32, flags: u32) -> Vec<Instruction> {
    vec![
        plain(LOAD_WORD, NUMBER_AT),
        jump(JUMP_EQUAL, call, 0, 3),
        plain(LOAD_WORD, ARGUMENTS_AT),
        jump(JUMP_EQUAL, flags, 0, 1),
        plain(RETURN, ASK),
        plain(RETURN, ALLOW),
    ]
}

/// The starts of maximal ranges of numbers with equal treatment, ascending from 0.
fn ranges(rules: &Rules) -> Vec<(u32, &Rule)> {
    let mut out: Vec<(u32, &Rule)> = Vec::new();
    let mut push = |start: u32, rule| {
        if out.last().is_none_or(|(_, last)| *last != rule) {
            out.push((start, rule));
        }
    };
    let mut next = 0;
    for (&number, rule) in &rules.listed {
        if number > next {
            push(next, &rules.otherwise);
        }
        push(number, rule);
        next = number + 1;
    }
    push(next, &rules.otherwise);
    out
}

fn search(ranges: &[(u32, &Rule)]) -> Vec<Instruction> {
    match ranges {
        [] => Vec::new(),
        [(_, rule)] => treatment(rule),
        _ => {
            let (low, high) = ranges.split_at(ranges.len() / 2);
            let below = search(low);
            let mut out = vec![jump(JUMP_GREATER_OR_EQUAL, high[0].0, below.len(), 0)];
            out.extend(below);
            out.extend(search(high));
            out
        }
    }
}

fn treatment(rule: &Rule) -> Vec<Instruction> {
    let load = |argument: u32| plain(LOAD_WORD, ARGUMENTS_AT + 8 * argument);
    match rule {
        Rule::Allow => vec![plain(RETURN, ALLOW)],
        Rule::Fail(errno) => vec![fail(*errno)],
        Rule::AllowIf { argument, mask, values, errno } => {
            let mut out = vec![load(*argument), plain(AND, *mask)];
            // After the tests come the refusal and, one further, the permission.
            out.extend(tests(values, 1));
            out.extend([fail(*errno), plain(RETURN, ALLOW)]);
            out
        }
        Rule::AllowIfClearOr { argument, mask, exact, errno } => vec![
            load(*argument),
            jump(JUMP_EQUAL, *exact, 3, 0),
            plain(AND, *mask),
            jump(JUMP_EQUAL, 0, 1, 0),
            fail(*errno),
            plain(RETURN, ALLOW),
        ],
        // Both halves: an address may well have a low half of zero.
        Rule::AllowIfNull { argument, errno } => vec![
            load(*argument),
            jump(JUMP_EQUAL, 0, 0, 2),
            plain(LOAD_WORD, ARGUMENTS_AT + 8 * argument + 4),
            jump(JUMP_EQUAL, 0, 1, 0),
            fail(*errno),
            plain(RETURN, ALLOW),
        ],
        Rule::FailIf { argument, values, errno } => {
            let mut out = vec![load(*argument)];
            out.extend(tests(values, 1));
            out.extend([plain(RETURN, ALLOW), fail(*errno)]);
            out
        }
    }
}

/// Tests that jump `beyond` instructions past the last of them on a match and fall through otherwise.
fn tests(values: &[u32], beyond: usize) -> impl Iterator<Item = Instruction> {
    let last = values.len() - 1;
    values.iter().enumerate().map(move |(index, value)| jump(JUMP_EQUAL, *value, last - index + beyond, 0))
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "halves of words are meant")]
mod tests_of_meaning {
    use proptest::prelude::*;
    use rollcage_types::IsolationLevel;

    use super::super::{Branching, Charge};
    use super::*;
    use crate::protocol::Wiring;

    /// Runs the program on one call, as the kernel would.
    fn run(program: &[Instruction], architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let word = |offset: u32| {
            let argument = arguments[(offset / 8) as usize];
            (if offset.is_multiple_of(8) { argument & 0xffff_ffff } else { argument >> 32 }) as u32
        };
        let (mut at, mut accumulator) = (0_usize, 0_u32);
        loop {
            let instruction = program[at];
            at += 1;
            let choose = |condition| {
                usize::from(if condition { instruction.jump_true } else { instruction.jump_false })
            };
            match instruction.code {
                LOAD_WORD if instruction.operand == NUMBER_AT => accumulator = number,
                LOAD_WORD if instruction.operand == ARCHITECTURE_AT => accumulator = architecture,
                LOAD_WORD => accumulator = word(instruction.operand - ARGUMENTS_AT),
                AND => accumulator &= instruction.operand,
                JUMP_EQUAL => at += choose(accumulator == instruction.operand),
                JUMP_GREATER_OR_EQUAL => at += choose(accumulator >= instruction.operand),
                RETURN => return instruction.operand,
                other => panic!("unknown instruction {other:#x}"),
            }
        }
    }

    fn meaning(rules: &Rules, number: u32, arguments: [u64; 6]) -> u32 {
        let fail = |errno: i32| ERRNO | errno.cast_unsigned();
        let low = |argument: &u32| (arguments[*argument as usize] & 0xffff_ffff) as u32;
        match rules.listed.get(&number).unwrap_or(&rules.otherwise) {
            Rule::Allow => ALLOW,
            Rule::Fail(errno) => fail(*errno),
            Rule::AllowIf { argument, mask, values, errno } => {
                if values.contains(&(low(argument) & mask)) {
                    ALLOW
                } else {
                    fail(*errno)
                }
            }
            Rule::AllowIfClearOr { argument, mask, exact, errno } => {
                let value = low(argument);
                if value == *exact || value & mask == 0 { ALLOW } else { fail(*errno) }
            }
            Rule::AllowIfNull { argument, errno } => {
                if arguments[*argument as usize] == 0 {
                    ALLOW
                } else {
                    fail(*errno)
                }
            }
            Rule::FailIf { argument, values, errno } => {
                if values.contains(&low(argument)) {
                    fail(*errno)
                } else {
                    ALLOW
                }
            }
        }
    }

    fn check_whole_table(rules: &Rules) {
        let program = assemble(rules);
        for number in 0..600 {
            for value in [
                0,
                1,
                2,
                4,
                5,
                0x10,
                0x402,
                0x800,
                0x5401,
                0x5412,
                0x4_0000,
                0x1000_0000,
                rollcage_sys::child::BRANCH_FLAGS,
                rollcage_sys::child::BRANCH_FLAGS | 0x4000_0000,
                1 << 32,
                u64::MAX,
            ] {
                let arguments = [value; 6];
                assert_eq!(
                    run(&program, ARCHITECTURE, number, arguments),
                    meaning(rules, number, arguments),
                    "call {number} with {value:#x}"
                );
            }
        }
    }

    #[test]
    fn all_filters_mean_what_their_tables_say() {
        check_whole_table(&super::super::launcher_rules());
        for level in IsolationLevel::ALL {
            for charge in [Charge::Group, Charge::Nobody] {
                for wiring in [Wiring::Sealed, Wiring::Wired] {
                    for branching in [Branching::Never, Branching::Asked] {
                        check_whole_table(&super::super::program_rules(level, wiring, charge, branching));
                    }
                }
            }
        }
    }

    #[test]
    fn clones_with_these_flags_are_asked_about_and_no_other_call() {
        let program = asking_about_clones_with(56, 0x1234);
        for (number, flags, expected) in
            [(56, 0x1234, ASK), (56, 0x1235, ALLOW), (57, 0x1234, ALLOW), (56, 1 << 32 | 0x1234, ASK)]
        {
            assert_eq!(run(&program, ARCHITECTURE, number, [flags; 6]), expected, "{number} {flags:#x}");
        }
    }

    #[test]
    fn other_architectures_and_x32_are_killed() {
        let program = assemble(&super::super::launcher_rules());
        let i386 = 0x4000_0003;
        assert_eq!(run(&program, i386, 1, [0; 6]), KILL_PROCESS);
        assert_eq!(run(&program, ARCHITECTURE, X32_BIT | 1, [0; 6]), KILL_PROCESS);
    }

    proptest! {
        #[test]
        fn any_table_means_what_it_says(
            listed in proptest::collection::btree_map(0_u32..500, prop_oneof![
                Just(Rule::Allow),
                (1_i32..100).prop_map(Rule::Fail),
                (0_u32..6, 1_i32..100).prop_map(|(argument, errno)| Rule::AllowIfNull { argument, errno }),
                (0_u32..6, 1_i32..100).prop_map(|(argument, errno)| Rule::FailIf { argument, values: vec![3, 9], errno }),
            ], 0..60),
            number in 0_u32..520,
            value in prop_oneof![0_u64..12, Just(1_u64 << 32)],
        ) {
            let rules = Rules { listed, otherwise: Rule::Fail(38) };
            let program = assemble(&rules);
            prop_assert_eq!(run(&program, ARCHITECTURE, number, [value; 6]), meaning(&rules, number, [value; 6]));
        }
    }
}
