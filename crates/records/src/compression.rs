//! The five compressions of a record batch, in the framings that Kafka's clients read and write.
//!
//! gzip: RFC 1952, members may follow each other. snappy: written in xerial's framing (what the
//! Java client writes), read in that or raw (librdkafka). lz4: the standard frame with independent
//! blocks, the only kind that the Java client reads. zstd: one frame or several.

use std::fmt;
use std::io::{Read, Write};
use std::str::FromStr;

use bytes::{BufMut, Bytes};

use crate::RecordsError;

/// A batch's compression; the numbers are Kafka's (attribute bits 0-2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Compression {
    #[default]
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    Zstd = 4,
}

impl Compression {
    /// All of them, by number.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The compression with Kafka's number `id`.
    pub fn from_id(id: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.id() == id)
    }

    /// Kafka's number of it.
    pub fn id(self) -> i16 {
        self as i16
    }

    /// Kafka's name of it, as in `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads Kafka's name.
impl FromStr for Compression {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|known| known.name() == name)
            .ok_or_else(|| {
                format!("'{name}' is no compression: use none, gzip, snappy, lz4 or zstd")
            })
    }
}

/// xerial's snappy stream: this, a version and a compatible version (four bytes each), then blocks
/// with their length (four bytes) before them.
const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const XERIAL_HEADER_BYTES: usize = 16;
const XERIAL_BLOCK_BYTES: usize = 32 * 1024;
/// First guess at how much larger records become when they are opened.
const EXPANSION_GUESS: usize = 4;
/// zstd level 3, Kafka's default.
const ZSTD_LEVEL: i32 = 3;
/// Largest window that a zstd frame may ask for: 128 MiB, what its own decoder allows by default.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Opens `bytes`; without compression they come back as they are, shared.
///
/// # Errors
/// [`RecordsError::Compressed`] if they are damaged, [`RecordsError::TooLarge`] as soon as more
/// than `bytes_max` bytes would come out (also without compression).
pub fn decompress(
    compression: Compression,
    bytes: &Bytes,
    bytes_max: usize,
) -> Result<Bytes, RecordsError> {
    match compression {
        Compression::None if bytes.len() > bytes_max => Err(RecordsError::TooLarge { bytes_max }),
        Compression::None => Ok(bytes.clone()),
        Compression::Gzip => drain(
            compression,
            flate2::read::MultiGzDecoder::new(&bytes[..]),
            bytes.len(),
            bytes_max,
        ),
        Compression::Snappy => open_snappy(bytes, bytes_max),
        Compression::Lz4 => drain(
            compression,
            lz4_flex::frame::FrameDecoder::new(&bytes[..]),
            bytes.len(),
            bytes_max,
        ),
        Compression::Zstd => {
            let damaged = |error: std::io::Error| damaged(compression, &error);
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(&bytes[..]).map_err(damaged)?;
            decoder
                .window_log_max(ZSTD_WINDOW_LOG_MAX)
                .map_err(damaged)?;
            drain(compression, decoder, bytes.len(), bytes_max)
        }
    }
}

fn damaged(compression: Compression, reason: &dyn fmt::Display) -> RecordsError {
    RecordsError::Compressed {
        compression,
        reason: reason.to_string(),
    }
}

/// Reads a decoder to its end, but not past the limit.
fn drain(
    compression: Compression,
    decoder: impl Read,
    compressed_bytes: usize,
    bytes_max: usize,
) -> Result<Bytes, RecordsError> {
    let guess = compressed_bytes.saturating_mul(EXPANSION_GUESS);
    let mut opened = Vec::with_capacity(guess.min(bytes_max));
    // One byte more than is allowed tells that there is more.
    let limit = (bytes_max as u64).saturating_add(1);
    decoder
        .take(limit)
        .read_to_end(&mut opened)
        .map_err(|error| damaged(compression, &error))?;
    if opened.len() > bytes_max {
        return Err(RecordsError::TooLarge { bytes_max });
    }
    Ok(opened.into())
}

fn open_snappy(bytes: &[u8], bytes_max: usize) -> Result<Bytes, RecordsError> {
    let mut opened = Vec::new();
    if !bytes.starts_with(&XERIAL_MAGIC) {
        open_snappy_block(bytes, &mut opened, bytes_max)?;
        return Ok(opened.into());
    }
    let cut_short = || damaged(Compression::Snappy, &"a block is cut short");
    let mut rest = bytes.get(XERIAL_HEADER_BYTES..).ok_or_else(cut_short)?;
    while !rest.is_empty() {
        let (length, behind) = rest.split_first_chunk::<4>().ok_or_else(cut_short)?;
        let length = u32::from_be_bytes(*length) as usize;
        // Streams that were joined carry their header again.
        if behind.len() >= XERIAL_HEADER_BYTES - 4 && rest.starts_with(&XERIAL_MAGIC) {
            rest = rest.get(XERIAL_HEADER_BYTES..).ok_or_else(cut_short)?;
            continue;
        }
        let block = behind.get(..length).ok_or_else(cut_short)?;
        open_snappy_block(block, &mut opened, bytes_max)?;
        rest = behind.get(length..).ok_or_else(cut_short)?;
    }
    Ok(opened.into())
}

fn open_snappy_block(
    block: &[u8],
    opened: &mut Vec<u8>,
    bytes_max: usize,
) -> Result<(), RecordsError> {
    let wrong = |error: snap::Error| damaged(Compression::Snappy, &error);
    let length = snap::raw::decompress_len(block).map_err(wrong)?;
    let start = opened.len();
    let end = start
        .checked_add(length)
        .filter(|&end| end <= bytes_max)
        .ok_or(RecordsError::TooLarge { bytes_max })?;
    // Snappy expands 64 bytes out of three at the most: a larger claim is a lie.
    if length > block.len().saturating_mul(64) {
        return Err(damaged(
            Compression::Snappy,
            &"a block states a length that it cannot hold",
        ));
    }
    opened.resize(end, 0);
    let room = opened.get_mut(start..).unwrap_or_default();
    let written = snap::raw::Decoder::new()
        .decompress(block, room)
        .map_err(wrong)?;
    opened.truncate(start + written);
    Ok(())
}

/// Compresses `bytes` and appends the result to `out`.
///
/// # Errors
/// [`RecordsError::Compressed`] with what the codec says; none of them fails on honest memory.
pub fn compress(
    compression: Compression,
    bytes: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), RecordsError> {
    let failed = |error: std::io::Error| damaged(compression, &error);
    match compression {
        Compression::None => out.extend_from_slice(bytes),
        Compression::Gzip => {
            let mut encoder =
                flate2::write::GzEncoder::new(&mut *out, flate2::Compression::default());
            encoder.write_all(bytes).map_err(failed)?;
            encoder.finish().map_err(failed)?;
        }
        Compression::Snappy => {
            out.put_slice(&XERIAL_MAGIC);
            out.put_u32(1);
            out.put_u32(1);
            let mut encoder = snap::raw::Encoder::new();
            for block in bytes.chunks(XERIAL_BLOCK_BYTES) {
                let packed = encoder
                    .compress_vec(block)
                    .map_err(|error| damaged(compression, &error))?;
                out.put_u32(packed.len() as u32);
                out.put_slice(&packed);
            }
        }
        Compression::Lz4 => {
            let info = lz4_flex::frame::FrameInfo::new()
                .block_mode(lz4_flex::frame::BlockMode::Independent)
                .block_size(lz4_flex::frame::BlockSize::Max64KB);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, &mut *out);
            encoder.write_all(bytes).map_err(failed)?;
            encoder
                .finish()
                .map_err(|error| damaged(compression, &error))?;
        }
        Compression::Zstd => {
            zstd::stream::copy_encode(bytes, &mut *out, ZSTD_LEVEL).map_err(failed)?;
        }
    }
    Ok(())
}
