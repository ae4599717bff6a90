//! Any sequence of operations against a list in memory.

use hoplog_inbox::{ASSEMBLE, Account, Config, Inbox, Totals};
use hoplog_model::Position;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::support::{entry, number, plus, segment_files};

#[derive(Debug, Clone)]
enum Op {
    Append(usize),
    Read(usize),
    /// The store has durably passed all but the last so many of what was read.
    Release(usize),
    Reopen,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => (0..500_usize).prop_map(Op::Append),
        3 => (1..10_usize).prop_map(Op::Read),
        2 => (0..4_usize).prop_map(Op::Release),
        1 => Just(Op::Reopen),
    ];
    proptest::collection::vec(op, 1..80)
}

/// What must be in the inbox.
#[derive(Default)]
struct Model {
    /// Position, end and totals before, of every record ever.
    records: Vec<(Position, Position, Totals)>,
    totals: Totals,
    read: usize,
    checkpoint: Position,
    account: Account,
    /// Records before the checkpoint.
    passed: usize,
}

async fn run(ops: Vec<Op>, memory_bytes: usize) {
    let folder = TempDir::new().unwrap();
    let config = Config {
        segment_bytes: 1500,
        max_bytes: 1 << 20,
        memory_bytes,
        group_records: 8,
    };
    let start = (Position::default(), Account::default());
    let (mut inbox, mut reader) =
        Inbox::open(folder.path(), config.clone(), start.0, start.1).unwrap();
    let mut model = Model::default();
    for op in ops {
        match op {
            Op::Append(size) => {
                let entry = entry(model.records.len() as u64, size);
                let at = inbox.append(entry.clone()).await.unwrap();
                let before = model.totals;
                assert!(model.records.last().is_none_or(|(_, end, _)| at >= *end));
                model.records.push((at, at, before));
                model.totals = plus(before, &entry);
            }
            Op::Read(count) => {
                for _ in 0..count {
                    let Some(record) = reader.try_next() else {
                        break;
                    };
                    assert_eq!(number(&record), model.read as u64);
                    let known = &mut model.records[model.read];
                    assert_eq!((record.position, record.before), (known.0, known.2));
                    assert_eq!(record.sequence, model.read as u64);
                    known.1 = record.next;
                    model.read += 1;
                }
                let stats = inbox.stats();
                assert_eq!(stats.backlog_bytes == 0, model.read == model.records.len());
            }
            Op::Release(but) => {
                let upto = model.read.saturating_sub(but).max(model.passed);
                if upto > model.passed {
                    model.passed = upto;
                    model.checkpoint = model.records[upto - 1].1;
                    model.account = reader.account_at(model.checkpoint);
                }
                inbox.release(ASSEMBLE, model.checkpoint);
            }
            Op::Reopen => {
                let caught_up = model.passed == model.records.len();
                inbox.close().await;
                drop(reader);
                let from = (model.checkpoint, model.account);
                (inbox, reader) =
                    Inbox::open(folder.path(), config.clone(), from.0, from.1).unwrap();
                assert_eq!(reader.is_caught_up(), caught_up);
                model.read = model.passed;
            }
        }
        check(&inbox, &model, folder.path(), &config);
    }
    // Nothing that was not passed is missing.
    let mut left = 0;
    while reader.try_next().is_some() {
        left += 1;
    }
    assert_eq!(left, model.records.len() - model.read);
    assert_eq!(reader.lost(), Totals::default());
    inbox.close().await;
}

fn check(inbox: &Inbox, model: &Model, folder: &std::path::Path, config: &Config) {
    let stats = inbox.stats();
    assert_eq!(stats.totals, model.totals);
    assert_eq!(stats.segments, segment_files(folder).len());
    assert_eq!(stats.disk_bytes, crate::support::disk_bytes(folder));
    assert!(stats.memory_bytes <= config.memory_bytes);
    assert_eq!((stats.corrupt_records, stats.truncated_bytes), (0, 0));
    for (position, _, before) in model.records[model.passed..].iter().step_by(7) {
        assert_eq!(inbox.totals_at(*position), *before);
    }
    // Files before the checkpoint are gone, files with a record behind it are there.
    for (position, _, _) in &model.records[model.passed..] {
        assert!(
            folder
                .join(format!("{:010}.seg", position.segment))
                .exists()
        );
    }
    let useless = segment_files(folder)
        .iter()
        .filter(|path| {
            path.file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .parse::<u32>()
                .unwrap()
                < model.checkpoint.segment
        })
        .count();
    assert_eq!(useless, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Guarantees: each record comes once, in order, with its totals, over any number of restarts;
    /// from memory or from disk; figures and files are those of the model.
    #[test]
    fn the_inbox_is_a_list(ops in ops(), memory_bytes in prop_oneof![Just(1024), Just(1 << 20)]) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(run(ops, memory_bytes));
    }
}
