import { isSidecarError } from '../../errors.ts';
import { IMAGE_MEDIA_TYPES } from '../image-header.ts';
import { encodePng, shrink } from '../png.ts';
import { HeldBytes, ReferenceDoor } from '../reference-door.ts';
import { checkImage, nameOf, REFERENCE_BYTES_MAX } from '../reference-image.ts';
import { json, Refusal, type Answer } from './answer.ts';
import { queryOf, readBody } from './request.ts';
import type { Call } from './routes.ts';
import { stateOf, type ServedChannel } from './served.ts';

/** What a picture may be sent as. */
export const REFERENCE_MEDIA_TYPES = [...Object.values(IMAGE_MEDIA_TYPES), 'image/gif'];
/** Of all pictures that are being sent. */
const HELD_BYTES_MAX = 2 * REFERENCE_BYTES_MAX;
/** In px: the page shows it smaller. */
const SMALL_SIDE = 256;

const door = new ReferenceDoor();
const held = new HeldBytes(HELD_BYTES_MAX);

/** The picture that shows the style now, small. Errors: ERR_STYLE, as refusals. */
export const readReference = async ({ controller }: ServedChannel): Promise<Answer> => {
	const { shown } = controller.target;
	if (!shown) throw new Refusal(404, 'ERR_STYLE', 'No picture shows the style: it is painted by words.');
	const small = await encodePng(shrink(shown.picture, SMALL_SIDE));
	// It may be a frame of the source, and panic may have come meanwhile.
	if (controller.isPanic) throw new Refusal(409, 'ERR_STYLE', 'Panic is on: no picture is shown.');
	return { type: 'image/png', body: small };
};

/** Paints like the picture that is sent. Errors: ERR_STYLE, ERR_MODEL, as refusals. */
export const paintLike = async ({ request, served }: Call, channel: ServedChannel): Promise<Answer> => {
	const { controller } = channel;
	const type = (request.headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase();
	if (!REFERENCE_MEDIA_TYPES.includes(type))
		throw new Refusal(415, 'ERR_STYLE', `A picture is sent as ${REFERENCE_MEDIA_TYPES.join(', ')}.`);
	expectReferences(channel);
	const declared = Number(request.headers['content-length'] ?? REFERENCE_BYTES_MAX);
	if (declared > REFERENCE_BYTES_MAX)
		throw new Refusal(413, 'ERR_STYLE', `A picture has at most ${REFERENCE_BYTES_MAX} bytes.`);
	using room = held.take(declared);
	if (!room)
		throw new Refusal(503, 'ERR_STYLE', 'Other pictures are being sent. Send this one again.', { 'Retry-After': '1' });
	const body = await readBody(request, { byteLengthMax: declared, what: 'A picture', code: 'ERR_STYLE' });
	const name = nameOf(queryOf(request).get('name') ?? '');
	if (!(await door.show(controller, checkImage(body, `The picture ${name}`), name)))
		throw new Refusal(409, 'ERR_STYLE', 'Something else was chosen meanwhile.');
	return json(stateOf(served, channel));
};

/** As the preset says again. */
export const forgetReference = ({ served }: Call, channel: ServedChannel): Answer => {
	channel.controller.apply({ type: 'reference', from: 'preset' });
	return json(stateOf(served, channel));
};

/** Errors: ERR_MODEL, as a refusal. */
export const expectReferences = ({ controller }: Pick<ServedChannel, 'controller'>): void => {
	try {
		controller.expectReferences();
	} catch (error) {
		if (!isSidecarError(error)) throw error;
		throw new Refusal(409, error.code, error.message);
	}
};
