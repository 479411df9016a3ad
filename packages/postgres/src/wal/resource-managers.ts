// Who wrote a WAL record, and the kinds of records that are understood here. Source: src/include/access/rmgrlist.h,
// src/include/catalog/pg_control.h.

/** The numbers of the resource managers that matter here. */
export const RESOURCE_MANAGER = { xlog: 0, transaction: 1 } as const;

/** The last of those that come with PostgreSQL 15–18 (RM_LOGICALMSG_ID). */
const LAST_BUILT_IN = 21;

/** Extensions have the numbers from here (RM_MIN_CUSTOM_ID), to 255. */
const FIRST_CUSTOM = 128;

/** The bits of a record's info byte that are the resource manager's own; the others are the record format's. */
export const MANAGER_INFO_MASK = 0xf0;

/** Kinds of records of the resource manager `xlog`: the info byte under {@link MANAGER_INFO_MASK}. */
export const XLOG_KIND = { switch: 0x40, overwriteContinuation: 0xd0 } as const;

/** Whether a record may carry the number. A custom one may belong to an extension that is not here: it is not looked into. */
export function isResourceManager(rmid: number): boolean {
  return rmid <= LAST_BUILT_IN || rmid >= FIRST_CUSTOM;
}
