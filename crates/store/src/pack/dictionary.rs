//! Dictionaries: what frames are written and compressed with, known by the id in each frame's
//! header. One is a table of fields, then a dictionary of zstd's.

use super::learn::learn;
use super::table::Table;
use super::{LEVEL, PackError};
use crate::segment::Reader;
use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use twox_hash::XxHash3_64;
use zstd::zstd_safe::{CDict, DDict, get_dict_id_from_dict};

/// The dictionary that every hoplog knows, trained on spans of common instrumentations; empty
/// while there is none.
pub static SHIPPED: &[u8] = include_bytes!("../dictionary.bin");

/// What dictionaries of every version start with.
const FAMILY: &[u8; 3] = b"hop";
/// What a dictionary starts with, before its table and what zstd uses.
const MAGIC: &[u8; 4] = b"hop2";

/// Where zstd's dictionaries hold their id: 4 bytes, little-endian, after their own magic.
const ZSTD_ID: std::ops::Range<usize> = 4..8;

/// Ids that zstd leaves to everyone: from 2^15 up to 2^31.
const ID_LEAST: u32 = 1 << 15;
const ID_COUNT: u64 = (1 << 31) - (1 << 15);

/// A trained dictionary, prepared for use.
pub struct Dictionary {
    id: u32,
    bytes: Vec<u8>,
    table: Table,
    /// Where in `bytes` zstd's part starts.
    zstd: usize,
    decoder: DDict<'static>,
    /// Made when first written with: most dictionaries are only read with.
    encoder: OnceLock<CDict<'static>>,
}

impl Dictionary {
    /// Prepares a dictionary that [`train`] made.
    ///
    /// # Errors
    /// [`PackError::NoDictionary`] if the bytes are none, [`PackError::OtherVersion`] if they are one
    /// that this version does not know.
    pub fn new(bytes: Vec<u8>) -> Result<Self, PackError> {
        let behind = bytes.strip_prefix(MAGIC);
        let no_ours = match bytes.starts_with(FAMILY) {
            true => PackError::OtherVersion,
            false => PackError::NoDictionary,
        };
        let mut reader = Reader(behind.ok_or(no_ours)?);
        let table = Table::decode(&mut reader).map_err(|_| PackError::NoDictionary)?;
        let id = get_dict_id_from_dict(reader.0)
            .ok_or(PackError::NoDictionary)?
            .get();
        let decoder = DDict::try_create(reader.0).ok_or(PackError::NoDictionary)?;
        let zstd = bytes.len() - reader.0.len();
        Ok(Self {
            id,
            bytes,
            table,
            zstd,
            decoder,
            encoder: OnceLock::new(),
        })
    }

    /// [`SHIPPED`] with another table.
    #[cfg(test)]
    pub(super) fn with_table(table: &Table) -> Self {
        let shipped = Self::new(SHIPPED.to_vec()).expect("there is one");
        let mut bytes = MAGIC.to_vec();
        table.encode(&mut bytes);
        bytes.extend_from_slice(&shipped.bytes[shipped.zstd..]);
        Self::new(bytes).expect("made as one is")
    }

    /// Its id, a hash of its content; never 0.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The bytes it was made of.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    pub(super) fn decoder(&self) -> &DDict<'static> {
        &self.decoder
    }

    pub(super) fn encoder(&self) -> &CDict<'static> {
        self.encoder
            .get_or_init(|| CDict::create(&self.bytes[self.zstd..], LEVEL))
    }
}

impl fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, bytes, .. } = self;
        f.debug_struct("Dictionary")
            .field("id", id)
            .field("bytes", &bytes.len())
            .finish()
    }
}

/// All dictionaries in use; shared by those who write and read.
#[derive(Debug, Default)]
pub struct Dictionaries {
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_id: FxHashMap<u32, Arc<Dictionary>>,
    current: Option<Arc<Dictionary>>,
}

impl Dictionaries {
    /// None: frames are compressed by themselves until one is chosen.
    pub fn plain() -> Self {
        Self::default()
    }

    /// [`SHIPPED`], which new frames use.
    pub fn shipped() -> Self {
        let dictionaries = Self::default();
        if let Ok(id) = dictionaries.install(SHIPPED.to_vec()) {
            dictionaries.choose(id);
        }
        dictionaries
    }

    /// Makes frames of this dictionary readable. Does not change what new frames use. One
    /// that is known already is left as it is.
    ///
    /// # Errors
    /// As [`Dictionary::new`]; [`PackError::SameId`] if another one of the
    /// same id is known.
    pub fn install(&self, bytes: Vec<u8>) -> Result<u32, PackError> {
        let dictionary = Dictionary::new(bytes)?;
        let id = dictionary.id();
        match self.write().by_id.entry(id) {
            Entry::Occupied(known) if known.get().bytes() != dictionary.bytes() => {
                Err(PackError::SameId(id))
            }
            Entry::Occupied(_) => Ok(id),
            Entry::Vacant(place) => {
                place.insert(Arc::new(dictionary));
                Ok(id)
            }
        }
    }

    /// Lets new frames use this dictionary; false (and nothing done) if it is not installed.
    pub fn choose(&self, id: u32) -> bool {
        let mut known = self.write();
        let Some(dictionary) = known.by_id.get(&id).cloned() else {
            return false;
        };
        known.current = Some(dictionary);
        true
    }

    /// What new frames use; none for no dictionary.
    pub fn current(&self) -> Option<Arc<Dictionary>> {
        self.read().current.clone()
    }

    /// The dictionary of this id, if it is installed.
    pub fn get(&self, id: u32) -> Option<Arc<Dictionary>> {
        self.read().by_id.get(&id).cloned()
    }

    /// How many are installed.
    pub fn len(&self) -> usize {
        self.read().by_id.len()
    }

    /// Whether none is installed.
    pub fn is_empty(&self) -> bool {
        self.read().by_id.is_empty()
    }

    // A panic elsewhere leaves the map whole: each change is one assignment.
    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A dictionary of at most `size` bytes learnt from samples, each one `TracesData` as packed (see
/// [`super::Unpacker::raw`]); none if they are too few or too alike to learn from.
pub fn train(samples: &[Vec<u8>], size: usize) -> Option<Vec<u8>> {
    let (table, mut zstd) = learn(samples, size.checked_sub(MAGIC.len())?)?;
    get_dict_id_from_dict(&zstd)?;
    let mut bytes = [MAGIC, table.as_slice()].concat();
    // zstd's own id is a hash of its part alone; frames must name the table too.
    let hash = XxHash3_64::oneshot_with_seed(XxHash3_64::oneshot(&table), &zstd[ZSTD_ID.end..]);
    let id = u32::try_from(hash % ID_COUNT).expect("below 2^31") + ID_LEAST;
    zstd[ZSTD_ID].copy_from_slice(&id.to_le_bytes());
    bytes.extend_from_slice(&zstd);
    Some(bytes)
}
