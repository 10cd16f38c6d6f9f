//! libchdb's C interface: loaded at run time, one connection a request.
//!
//! All `unsafe` of the engine is here. The library runs in a process of its own, so that a crash in it takes nothing else.

use std::ffi::{CString, c_char, c_int, c_void};
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::exception::Exception;

type Connect = unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut *mut c_void;
type Close = unsafe extern "C" fn(*mut *mut c_void);
type QueryN = unsafe extern "C" fn(*mut c_void, *const c_char, usize, *const c_char, usize) -> *mut c_void;
type Destroy = unsafe extern "C" fn(*mut c_void);
type ResultBytes = unsafe extern "C" fn(*mut c_void) -> *const c_char;
type ResultCount = unsafe extern "C" fn(*mut c_void) -> u64;

/// Why the engine did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The library is missing, damaged, or not libchdb.
    #[error("cannot load {}", path.display())]
    Load {
        /// The library.
        path: PathBuf,
        /// What the loader says.
        source: libloading::Error,
    },
    /// The data folder cannot be opened: locked by another process, or holding parts that are broken.
    #[error("cannot open the data in {}", path.display())]
    Data {
        /// The data folder.
        path: PathBuf,
    },
}

/// The loaded library and the data folder it works on.
pub(crate) struct Engine {
    /// Never unloaded: the library's own threads run to the end of the process.
    _library: ManuallyDrop<libloading::Library>,
    close: Close,
    connect: Connect,
    query: QueryN,
    destroy: Destroy,
    buffer: ResultBytes,
    length: ResultCount,
    error: ResultBytes,
    result_rows: ResultCount,
    result_bytes: ResultCount,
    rows_read: ResultCount,
    bytes_read: ResultCount,
    rows_written: ResultCount,
    bytes_written: ResultCount,
    path: CString,
    data: PathBuf,
}

/// What a statement did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) read_rows: u64,
    pub(crate) read_bytes: u64,
    pub(crate) written_rows: u64,
    pub(crate) written_bytes: u64,
    /// As far as it was known when the answer began.
    pub(crate) total_rows_to_read: u64,
    pub(crate) result_rows: u64,
    pub(crate) result_bytes: u64,
    pub(crate) elapsed_ns: u64,
    /// At the moment it was looked at; 0 for what has ended.
    pub(crate) memory_usage: u64,
}

impl Engine {
    /// Loads the library. Nothing is opened yet.
    pub(crate) fn load(library: &Path, data: &Path) -> Result<Arc<Self>, OpenError> {
        let failed = |source| OpenError::Load {
            path: library.to_path_buf(),
            source,
        };
        // SAFETY: the file is the pinned libchdb, verified by checksum before it was installed; its initialisers run
        // in this process, which exists for nothing else.
        let lib = unsafe { libloading::Library::new(library) }.map_err(failed)?;
        let path = CString::new(format!("--path={}", data.display())).expect("a path from the system holds no NUL");
        // SAFETY: names and signatures are those of chdb.h at the pinned version.
        unsafe {
            let connect = *lib.get::<Connect>(b"chdb_connect\0").map_err(failed)?;
            let close = *lib.get::<Close>(b"chdb_close_conn\0").map_err(failed)?;
            let query = *lib.get::<QueryN>(b"chdb_query_n\0").map_err(failed)?;
            let destroy = *lib.get::<Destroy>(b"chdb_destroy_query_result\0").map_err(failed)?;
            let buffer = *lib.get::<ResultBytes>(b"chdb_result_buffer\0").map_err(failed)?;
            let length = *lib.get::<ResultCount>(b"chdb_result_length\0").map_err(failed)?;
            let error = *lib.get::<ResultBytes>(b"chdb_result_error\0").map_err(failed)?;
            // What the library calls "read" is what came out; what came from storage has a name of its own.
            let result_rows = *lib.get::<ResultCount>(b"chdb_result_rows_read\0").map_err(failed)?;
            let result_bytes = *lib.get::<ResultCount>(b"chdb_result_bytes_read\0").map_err(failed)?;
            let rows_read = *lib
                .get::<ResultCount>(b"chdb_result_storage_rows_read\0")
                .map_err(failed)?;
            let bytes_read = *lib
                .get::<ResultCount>(b"chdb_result_storage_bytes_read\0")
                .map_err(failed)?;
            let rows_written = *lib.get::<ResultCount>(b"chdb_result_rows_written\0").map_err(failed)?;
            let bytes_written = *lib.get::<ResultCount>(b"chdb_result_bytes_written\0").map_err(failed)?;
            Ok(Arc::new(Self {
                close,
                connect,
                query,
                destroy,
                buffer,
                length,
                error,
                result_rows,
                result_bytes,
                rows_read,
                bytes_read,
                rows_written,
                bytes_written,
                path,
                data: data.to_path_buf(),
                _library: ManuallyDrop::new(lib),
            }))
        }
    }

    /// Opens a connection; the first one opens the data folder. Takes about a millisecond.
    pub(crate) fn connect(self: &Arc<Self>) -> Result<Connection, OpenError> {
        let program = c"clickhouse";
        let mut arguments = [program.as_ptr().cast_mut(), self.path.as_ptr().cast_mut()];
        // SAFETY: two valid C strings, which the library copies; it returns null or a handle that is ours.
        let handle = unsafe { (self.connect)(2, arguments.as_mut_ptr()) };
        if handle.is_null() {
            return Err(OpenError::Data {
                path: self.data.clone(),
            });
        }
        Ok(Connection {
            engine: Arc::clone(self),
            handle,
        })
    }
}

/// One connection. Statements on it run one after the other; settings and parameters live as long as it does.
pub(crate) struct Connection {
    engine: Arc<Engine>,
    handle: *mut *mut c_void,
}

// SAFETY: the library allows a connection to be used from any one thread at a time, and `&mut self` gives just that.
unsafe impl Send for Connection {}

impl Connection {
    /// Runs one statement and returns its output in `format`. Blocks.
    pub(crate) fn run(&mut self, statement: &str, format: &str) -> Result<(Vec<u8>, Summary), Exception> {
        let engine = &self.engine;
        let begun = std::time::Instant::now();
        // SAFETY: the handle is open until `drop`; texts are passed with their lengths and copied by the library; the
        // result is ours until it is destroyed, and everything is copied out of it before that.
        unsafe {
            let result = (engine.query)(
                *self.handle,
                statement.as_ptr().cast(),
                statement.len(),
                format.as_ptr().cast(),
                format.len(),
            );
            if result.is_null() {
                return Err(Exception::new(1001, "the engine gave no result", "STD_EXCEPTION"));
            }
            let error = (engine.error)(result);
            let outcome = if error.is_null() {
                let length = (engine.length)(result) as usize;
                let bytes = match (engine.buffer)(result) {
                    buffer if buffer.is_null() || length == 0 => Vec::new(),
                    buffer => std::slice::from_raw_parts(buffer.cast::<u8>(), length).to_vec(),
                };
                let summary = Summary {
                    read_rows: (engine.rows_read)(result),
                    read_bytes: (engine.bytes_read)(result),
                    written_rows: (engine.rows_written)(result),
                    written_bytes: (engine.bytes_written)(result),
                    result_rows: (engine.result_rows)(result),
                    result_bytes: (engine.result_bytes)(result),
                    elapsed_ns: u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX),
                    ..Summary::default()
                };
                Ok((bytes, summary))
            } else {
                let text = std::ffi::CStr::from_ptr(error).to_string_lossy();
                Err(Exception::parse(&text))
            };
            (engine.destroy)(result);
            outcome
        }
    }

    /// Runs a statement whose output is one text value.
    pub(crate) fn text(&mut self, statement: &str) -> Result<String, Exception> {
        let (bytes, _) = self.run(statement, "RawBLOB")?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: the handle came from `connect`, is closed once, and nothing uses it afterwards.
        unsafe { (self.engine.close)(self.handle) }
    }
}

/// Writes `text` as a SQL string literal.
pub(crate) fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for c in text.chars() {
        match c {
            '\'' => out.push_str("\\'"),
            '\\' => out.push_str("\\\\"),
            '\0' => out.push_str("\\0"),
            _ => out.push(c),
        }
    }
    out.push('\'');
    out
}

/// Escapes a parameter's value as the server expects it: as a field of a TabSeparated row.
pub(crate) fn escape_parameter(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\0' => out.push_str("\\0"),
            _ => out.push(c),
        }
    }
    out
}
