/* thumbnails.c: a contact sheet of a folder of images, of which some are damaged.
 *
 *     thumbnails [--damage] FOLDER SHEET.png [COUNT]
 *
 * Decoders are where damaged files do harm: this one runs each in a worker process
 * with a time limit and a memory limit, and draws a cross where a picture ended
 * its task, whatever it did. COUNT is how many pictures it takes at most.
 *
 * --damage shows it: of every three images it also takes copies that it made
 * worse, and three of its "decoders" misbehave on purpose: see spoil().
 *
 * Decoding, scaling and writing are stb_image's, stb_image_resize's and
 * stb_image_write's. */
