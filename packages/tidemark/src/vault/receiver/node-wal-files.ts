import {
  closeSync,
  constants,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  readdirSync,
  renameSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { dirname, resolve } from "node:path";
import { promisify } from "node:util";
import type { WalFiles } from "./wal-files.ts";

const FLAGS = { update: constants.O_RDWR, create: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL } as const;
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

const fdatasyncLater = promisify(fdatasync);
const fsyncLater = promisify(fsync);

/** The real file system. */
export const nodeWalFiles: WalFiles = {
  makeDirectory(path) {
    const made = mkdirSync(path, { recursive: true, mode: DIRECTORY_MODE });
    if (made === undefined) return;
    for (let at = resolve(path); at.length >= resolve(made).length; at = dirname(at)) nodeWalFiles.syncDirectory(dirname(at));
  },
  list: (path) => readdirSync(path),
  open: (path, mode) => openSync(path, FLAGS[mode], FILE_MODE),
  size: (fd) => fstatSync(fd).size,
  read(fd, into, { length, position }) {
    let done = 0;
    while (done < length) {
      const got = readSync(fd, into, done, length - done, position + done);
      if (got === 0) break;
      done += got;
    }
    return done;
  },
  write: (fd, bytes, { from, length, position }) => writeSync(fd, bytes, from, length, position),
  truncate: (fd, size) => ftruncateSync(fd, size),
  sync: (fd) => fdatasyncSync(fd),
  syncLater: (fd) => fdatasyncLater(fd),
  close: (fd) => closeSync(fd),
  rename: (from, to) => renameSync(from, to),
  remove: (path) => unlinkSync(path),
  syncDirectory(path) {
    const fd = openSync(path, constants.O_RDONLY);
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  },
  async syncDirectoryLater(path) {
    const fd = openSync(path, constants.O_RDONLY);
    try {
      await fsyncLater(fd);
    } finally {
      closeSync(fd);
    }
  },
};
