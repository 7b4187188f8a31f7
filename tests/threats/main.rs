//! What has happened to other servers, done to this one: the built binary under attack, with witnesses
//! who talk all the while. Each attack is made twice or more; afterwards the server holds no more
//! descriptors than before, and no more memory than after the attack before.
//!
//! Where each threat is tested:
//!
//! | threat, and who had it | test |
//! |---|---|
//! | a header parsed again at each read (CVE-2023-43669) | `handshake::headers_without_end`, `effort::a_request_head_byte_by_byte` |
//! | many headers, long lists (CVE-2024-37890, CVE-2021-32640) | `refusals::a_head_may_have_100_headers`, `effort::headers`, `effort::offers_of_extensions` |
//! | requests that come a byte a second (slowloris) | `handshake::five_thousand_dribblers` |
//! | smuggled requests, half upgrades (RUSTSEC-2026-0033) | `handshake::sixty_requests_that_smuggle_or_pretend` |
//! | frames in the segment of the handshake | `protocol::handshake::frames_in_the_segment_of_the_handshake_at_every_split` |
//! | pages of other sites that connect (CVE-2025-24010) | `refusals::only_a_page_of_the_same_origin_may_connect` |
//! | DNS that points here | `refusals::only_a_host_of_this_machine_is_served` |
//! | lengths of 64 bits (CVE-2020-27813, CVE-2026-27889) | `frames::every_length_with_every_opcode_masked_or_not` |
//! | memory for what is only announced | `frames::ten_thousand_claims_take_no_memory` |
//! | fragments without end (CVE-2026-48779) | `frames::floods_of_fragments`, `times::the_times_without_an_option` |
//! | pings of a peer that does not read (RUSTSEC-2024-0003) | `frames::a_reader_that_stops_has_one_pong_waiting` |
//! | small messages that inflate to large ones | `frames::a_bomb_takes_no_memory` |
//! | floods that evade deadlines, honest slow readers, memory that many take together | `faults` E3, E5, E1 |
//! | small requests with large answers, messages that inflate to the limit | `work`, `amplification` |
//! | frames next to compressed ones; offers (CVE-2026-2229) | `compression::two_compressed_frames_in_one_read_at_every_split`, `deflate::tests::offers` |
//! | close codes, and data behind a close | `closing::the_table_of_codes`, `close::tests::close_codes_from_0_to_5000` |
//! | scripts in messages and names | `hostile::hostile_messages_are_shown_as_text`, `hostile::hostile_names_are_shown_as_text` |
//! | paths that lead out | `pages::forty_paths_that_lead_nowhere` |
//! | escape sequences in the log (RUSTSEC-2025-0055) | `refusals::each_refusal_is_one_printable_line_of_the_log` |
//! | names that look like another's | `chat::a_bad_name_is_refused`, `chat::a_bad_room_name_is_not_found` |

mod frames;
mod handshake;
#[path = "../support/mod.rs"]
mod support;
mod work;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use support::cost::{MEMORY_KIB_MAX, Meter, TRIES, are_of_time};
use support::raw::PATIENCE;
use support::server::{Wsloop, wait_until};
use support::witness::Watch;

/// One attack at a time: each takes a good part of the machine, and of the open files.
static ALONE: Mutex<()> = Mutex::new(());

/// What an allocator may keep although nobody needs it, in KiB.
const MEMORY_SLACK_KIB: u64 = 256;

/// So many attacks in a row, each with more memory left than the one before, are a leak.
const ATTACKS_MAX: usize = 5;

fn alone() -> MutexGuard<'static, ()> {
    rlimit::increase_nofile_limit(u64::MAX).expect("the soft limit may be raised to the hard one");
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A server, and those who talk on it all the while.
struct Scenario {
    server: Wsloop,
    watch: Watch,
    files_before: usize,
    _alone: MutexGuard<'static, ()>,
}

impl Scenario {
    fn start(options: &[&str]) -> Scenario {
        let alone = alone();
        let server = Wsloop::start(options);
        let watch = Watch::start(&server);
        watch.settle();
        let files_before = server.open_files();
        Scenario { server, watch, files_before, _alone: alone }
    }

    /// Attacks until an attack leaves no more memory behind than the one before: twice, most times. An
    /// allocator may keep what one attack used, depending on what was freed last; what grows each time is
    /// a leak, in which a server under attack every day would drown.
    fn attack(self, mut attack: impl FnMut(&Wsloop)) {
        let mut memory = vec![self.attack_once(&mut attack)];
        loop {
            let before = memory[memory.len() - 1];
            memory.push(self.attack_once(&mut attack));
            if memory[memory.len() - 1] <= before + before / 10 + MEMORY_SLACK_KIB {
                break;
            }
            assert!(memory.len() < ATTACKS_MAX, "{memory:?} KiB, growing with each attack");
        }
        self.watch.finish();
    }

    /// What was wrong during an attack.
    fn problems_of(&self, attack: &mut impl FnMut(&Wsloop)) -> String {
        let meter = Meter::start(&self.server);
        self.watch.take();
        attack(&self.server);
        let watched = self.watch.take();
        let cost = meter.read(&self.server);
        [watched.under_a_flood(&cost), cost.problems(MEMORY_KIB_MAX)].concat().join("; ")
    }

    /// Returns the memory that the server still has, in KiB.
    fn attack_once(&self, attack: &mut impl FnMut(&Wsloop)) -> u64 {
        let mut problems = self.problems_of(attack);
        for _ in 1..TRIES {
            if problems.is_empty() || !are_of_time(&problems) {
                break;
            }
            // Until the longest turn is forgotten.
            std::thread::sleep(Duration::from_secs(20));
            problems = self.problems_of(attack);
        }
        assert!(problems.is_empty(), "{problems}");
        let said_before = self.watch.said_so_far();
        wait_until("the witnesses go on", PATIENCE, || {
            self.watch.said_so_far().iter().zip(said_before).all(|(said, before)| *said > before + 20)
        });
        wait_until("its descriptors are free again", PATIENCE, || {
            self.server.open_files() <= self.files_before
        });
        self.server.memory_kib("VmRSS")
    }
}
