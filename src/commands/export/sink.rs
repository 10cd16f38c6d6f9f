//! Windows become one file: text is joined as it comes, Parquet by its row groups.

use std::io::{self, Write};
use std::sync::Arc;

use flate2::write::GzEncoder;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

use super::target::{Compression, Form, Target};
use crate::cli::ExportFormat;

/// Why a file cannot be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum SinkError {
    /// The disk, or whoever reads standard output.
    #[error("cannot write")]
    Write(#[from] io::Error),
    /// What the store calls Parquet is none, or changed its columns within the export.
    #[error("cannot join Parquet row groups")]
    Parquet(#[source] ParquetError),
}

impl SinkError {
    /// Returns whether nobody reads any more.
    pub(super) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Write(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl From<ParquetError> for SinkError {
    fn from(error: ParquetError) -> Self {
        match error {
            ParquetError::External(inner) => match inner.downcast::<io::Error>() {
                Ok(io) => Self::Write(*io),
                Err(inner) => Self::Parquet(ParquetError::External(inner)),
            },
            other => Self::Parquet(other),
        }
    }
}

/// Something that windows are written into, one after another.
pub(super) struct Sink {
    body: Body,
    /// Rows so far.
    pub(super) rows: u64,
}

enum Body {
    Text(Encoder),
    /// The answer that is coming, and the file; that begins with the first answer, which says the columns.
    Parquet {
        answer: Vec<u8>,
        file: ParquetFile,
    },
}

enum ParquetFile {
    Begins(Option<Target>),
    Goes(Box<SerializedFileWriter<Target>>),
}

enum Encoder {
    Plain(Target),
    Gzip(GzEncoder<Target>),
    Zstd(zstd::stream::write::Encoder<'static, Target>),
}

impl Sink {
    pub(super) fn new(form: Form, target: Target) -> Result<Self, SinkError> {
        let body = match (form.format, form.compression) {
            (ExportFormat::Parquet, _) => Body::Parquet {
                answer: Vec::new(),
                file: ParquetFile::Begins(Some(target)),
            },
            (_, None) => Body::Text(Encoder::Plain(target)),
            (_, Some(Compression::Gzip)) => {
                Body::Text(Encoder::Gzip(GzEncoder::new(target, flate2::Compression::default())))
            }
            (_, Some(Compression::Zstd)) => Body::Text(Encoder::Zstd(zstd::stream::write::Encoder::new(target, 0)?)),
        };
        Ok(Self { body, rows: 0 })
    }

    /// Takes a piece of a window's answer.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        match &mut self.body {
            // No value has a line break within: texts are symbols, ids and JSON.
            Body::Text(encoder) => {
                self.rows += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
                Ok(encoder.write_all(bytes)?)
            }
            Body::Parquet { answer, .. } => {
                answer.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// Takes note that a window's answer is whole. `heads` lines of it are no rows.
    pub(super) fn end_window(&mut self, heads: u64) -> Result<(), SinkError> {
        match &mut self.body {
            Body::Text(_) => self.rows -= heads,
            Body::Parquet { answer, file } => {
                let answer = bytes::Bytes::from(std::mem::take(answer));
                self.rows += append(file, &answer)?;
            }
        }
        Ok(())
    }

    /// Ends the file and returns where it went.
    pub(super) fn finish(self) -> Result<Target, SinkError> {
        let mut target = match self.body {
            Body::Text(Encoder::Plain(target)) => target,
            Body::Text(Encoder::Gzip(encoder)) => encoder.finish()?,
            Body::Text(Encoder::Zstd(encoder)) => encoder.finish()?,
            Body::Parquet {
                file: ParquetFile::Goes(writer),
                ..
            } => writer.into_inner()?,
            Body::Parquet {
                file: ParquetFile::Begins(target),
                ..
            } => target.ok_or_else(|| io::Error::other("the file did not begin"))?,
        };
        target.flush()?;
        Ok(target)
    }
}

impl Write for Encoder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(target) => target.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(target) => target.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}

/// Appends the row groups of a whole Parquet file as they are, without unpacking them. Returns how many rows they have.
fn append(file: &mut ParquetFile, answer: &bytes::Bytes) -> Result<u64, SinkError> {
    let metadata = ParquetMetaDataReader::new()
        .with_page_index_policy(PageIndexPolicy::Optional)
        .parse_and_finish(answer)?;
    let schema = metadata.file_metadata().schema_descr();
    if let ParquetFile::Begins(target) = file {
        let target = target
            .take()
            .ok_or_else(|| io::Error::other("the file did not begin"))?;
        let properties = WriterProperties::builder()
            .set_created_by(format!("mprism {}", env!("CARGO_PKG_VERSION")))
            .build();
        let writer = SerializedFileWriter::new(target, schema.root_schema_ptr(), Arc::new(properties))?;
        *file = ParquetFile::Goes(Box::new(writer));
    }
    let ParquetFile::Goes(writer) = file else {
        return Err(io::Error::other("the file did not begin").into());
    };
    if writer.schema_descr().root_schema() != schema.root_schema() {
        let text = "the columns changed while rows were exported".to_owned();
        return Err(SinkError::Parquet(ParquetError::General(text)));
    }
    let mut rows = 0;
    for group in metadata.row_groups() {
        let mut out = writer.next_row_group()?;
        for column in group.columns() {
            out.append_column(
                answer,
                ColumnCloseResult {
                    bytes_written: u64::try_from(column.compressed_size()).unwrap_or(0),
                    rows_written: u64::try_from(group.num_rows()).unwrap_or(0),
                    metadata: column.clone(),
                    bloom_filter: None,
                    // Pages are found without: an index of pages would have to be rewritten for their new places.
                    column_index: None,
                    offset_index: None,
                },
            )?;
        }
        out.close()?;
        rows += u64::try_from(group.num_rows()).unwrap_or(0);
    }
    Ok(rows)
}
