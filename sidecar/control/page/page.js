// The page: shows what the sidecar says, and asks it for what the user wants. Nothing here decides anything.
import {
	command,
	commandLine,
	fleet as readFleet,
	listen,
	logLines,
	presets as fetchPresets,
	referencePicture,
	scenes as readScenes,
	sendReference,
	setScenes,
	thumbnail,
	watch,
} from './link.js';
import { openFleet } from './fleet.js';
import { hasToken } from './login.js';
import { openModifiers } from './modifiers.js';
import { openPlot } from './plot.js';
import { openPrompt } from './prompt.js';
import { openReference } from './reference.js';
import { openScenes } from './scenes.js';
import { openStage, readFrame } from './stage.js';
import { openStyles, PASSTHROUGH } from './styles.js';

const SAMPLE_EVERY_MS = 450;

const element = (id) => document.getElementById(id);
const body = document.body;
const strength = element('strength');
const fade = element('fade');
const seed = element('seed');
const panic = element('panic');
const quantise = element('quantise');
const region = element('region');
const veil = element('veil');

/** The newest state; undefined before the first. */
let state;
/** The newest frame's epoch; undefined before the first frame. */
let shownEpoch;

// -- Asking ------------------------------------------------------------------------------------------

const problem = element('problem');

const complain = (message) => {
	problem.textContent = message;
	problem.hidden = false;
};
const follow = async (asked) => {
	try {
		const answer = await asked;
		problem.hidden = true;
		show(answer);
	} catch (error) {
		complain(error.message);
	}
};
const ask = (what) => follow(command(what));
const moveStrength = commandLine(ask);
const moveFade = commandLine(ask);

// -- Styles ------------------------------------------------------------------------------------------

const styles = openStyles({
	grid: element('styles'),
	onChoose: (name) => void ask({ type: 'style', name }),
	fetchThumbnail: thumbnail,
});
styles.watchStage(() => {
	if (shownEpoch === undefined || body.dataset.link !== 'open' || state?.control.panic) return undefined;
	const { style, progress, epoch } = state.control;
	const isPainted = state.run.engine.state === 'painting';
	const isWhole = isPainted && progress === 1 && shownEpoch === epoch;
	return { style, isPainted, source: element('source'), painting: isWhole ? element('painting') : undefined };
});
/** Of the list that is shown; undefined before the first. */
let presetsRevision;

const loadStyles = async () => {
	const presets = await fetchPresets();
	scenes.setStyles(presets);
	styles.setPresets(presets);
	if (state) showStyle(state.control);
};

// -- Showing -----------------------------------------------------------------------------------------

const isTouched = (control) => document.activeElement === control;

/** Sliders in somebody's hand: the state must not pull them out of it. */
const held = new Set();
for (const slider of [strength, fade]) {
	slider.addEventListener('pointerdown', () => held.add(slider));
	for (const end of ['pointerup', 'pointercancel', 'blur']) slider.addEventListener(end, () => held.delete(slider));
}

const showStyle = (control) => {
	styles.show(control);
	const { title, reference } = control;
	const what = reference?.isOfPreset === false ? `Like ${reference.name}` : title;
	element('tag-style').textContent = what;
	element('painting').setAttribute('aria-label', `Painting: ${what}`);
};

const prompt = openPrompt({
	form: element('prompt-form'),
	paint: (text) => void ask({ type: 'prompt', text }),
	targetNow: () => state?.control,
});

const modifiers = openModifiers({
	group: element('modifiers'),
	promptNow: () => prompt.text,
	paint: (text) => {
		prompt.set(text);
		void ask({ type: 'prompt', text });
	},
	onEmpty: () => void ask({ type: 'style', name: state.control.style }),
});

const showControl = (control) => {
	showStyle(control);
	prompt.show(control.prompt);
	panic.setAttribute('aria-pressed', String(control.panic));
	if (control.panic && body.dataset.panic !== 'on') styles.clear();
	body.dataset.panic = control.panic ? 'on' : 'off';
	if (!held.has(strength)) strength.value = String(control.strength);
	if (!held.has(fade)) fade.value = String(control.fadeS);
	if (!isTouched(seed)) seed.value = String(control.seed);
	element('strength-value').textContent = `${Math.round(control.strength * 100)} %`;
	element('tempo-value').textContent = control.tempo ? `${Math.round(control.tempo.bpm)} beats/min` : '';
	if (!isTouched(quantise)) quantise.value = control.quantise;
	if (!isTouched(region)) region.value = control.isRegionOfPreset ? 'preset' : control.region.split(',')[0];
	element('region-file').textContent = region.value === control.region ? '' : control.region;
	element('fade-value').textContent = control.fadeS === 0 ? 'cut' : `${control.fadeS.toFixed(1)} s`;
};

const takeFrame = () => {
	const from = state?.control.style === PASSTHROUGH ? 'source' : 'painting';
	return ask({ type: 'reference', from });
};
const reference = openReference({
	group: element('reference'),
	send: (file) => follow(sendReference(file)),
	takeFrame,
	forget: () => ask({ type: 'reference', from: 'preset' }),
	fetchPicture: referencePicture,
	complain,
});

const scenes = openScenes({ section: element('scenes'), read: readScenes, write: setScenes });

const fleet = openFleet({ section: element('fleet'), read: readFleet });

// Pages without a script of ours cannot show a token.
element('keys').addEventListener('toggle', () => (element('more').hidden = hasToken()));

const channels = element('channel');
channels.addEventListener('change', () => {
	location.search = `?channel=${encodeURIComponent(channels.value)}`;
});

/** One channel needs no choice. */
const showChannels = ({ channels: names, channel }) => {
	channels.hidden = names.length < 2;
	if (channels.length !== names.length || names.some((name, index) => channels[index].value !== name))
		channels.replaceChildren(...names.map((name) => new Option(name, name)));
	if (!isTouched(channels)) channels.value = channel;
};

const milliseconds = (ms) => (ms < 9.95 ? ms.toFixed(1) : String(Math.round(ms)));

const ENGINE_STATES = {
	starting: 'loading the model',
	painting: 'painting',
	stale: 'engine gives no frames',
	restarting: 'engine is restarted',
};

const statusOf = ({ engine, governor }) => {
	if (body.dataset.panic === 'on') return 'panic: only the slate';
	const reliefs = [engine.memoryRelief, governor?.level > 0 && governor.relief].filter(Boolean);
	const isRelieved = engine.state === 'painting' && reliefs.length > 0;
	return isRelieved ? `painting: ${reliefs.join(', ')}` : ENGINE_STATES[engine.state];
};

const showRun = ({ engine, source, painted, ...run }) => {
	body.dataset.engine = engine.state;
	element('status-text').textContent = statusOf({ engine, ...run });
	element('about').textContent =
		`${source}, painted at ${painted.width}×${painted.height} by ${engine.model} on ${engine.provider}` +
		(engine.device ? ` (${engine.device})` : '');
	element('fps').textContent = run.fps.toFixed(1);
	element('latency').textContent = milliseconds(run.latencyMs.p50);
	element('latency-p95').textContent = milliseconds(run.latencyMs.p95);
	element('side').textContent = milliseconds(run.sideStreamMs);
	element('main').textContent = milliseconds(run.mainStreamMs);
	element('dropped').textContent = String(run.framesDropped);
	element('dropped-share').textContent = `${Math.round((100 * run.framesDropped) / Math.max(run.framesIn, 1))} %`;
	element('unpainted').textContent = String(run.framesUnpainted);
	element('flicker').textContent = run.flicker ? run.flicker.warpingError.toFixed(1) : '–';
	element('detail').textContent = run.flicker
		? `Sobel ${Math.round(run.flicker.sobel)} of ${Math.round(run.flicker.sourceSobel)}`
		: '';
	element('restarts').textContent = `${engine.restarts} ${engine.restarts === 1 ? 'restart' : 'restarts'}`;
};

const colours = getComputedStyle(document.documentElement);
const colour = (name) => colours.getPropertyValue(`--${name}`).trim();
const latencyPlot = openPlot(element('plot-latency'), {
	lines: [
		{ key: 'p50', colour: colour('ochre'), fill: 'rgb(229 170 90 / 14%)' },
		{ key: 'p95', colour: colour('vermilion') },
	],
	unit: 'ms',
	budget: ({ budget }) => `a frame lasts ${milliseconds(budget)} ms`,
	describe: ({ p50, p95, budget }) =>
		`Latency ${Math.round(p50)} milliseconds, 95th percentile ${Math.round(p95)}; a frame lasts ${milliseconds(budget)}`,
});
const ratePlot = openPlot(element('plot-fps'), {
	lines: [{ key: 'fps', colour: colour('sage'), fill: 'rgb(143 191 154 / 12%)' }],
	unit: 'frames/s',
	describe: ({ fps }) => `${fps.toFixed(1)} frames a second`,
});

const streamsPlot = openPlot(element('plot-streams'), {
	lines: [
		{ key: 'main', colour: colour('ochre'), fill: 'rgb(229 170 90 / 14%)' },
		{ key: 'side', colour: colour('sage') },
	],
	unit: 'ms',
	budget: ({ budget }) => `budget ${milliseconds(budget)} ms`,
	describe: ({ main, side, budget }) =>
		`Denoiser ${Math.round(main)} milliseconds a batch, encoder ${Math.round(side)}; budget ${milliseconds(budget)}`,
});

let sampledMs = -Infinity;
const plot = ({ control: { epoch }, run }) => {
	const { fps, latencyMs, sideStreamMs, mainStreamMs, framePeriodMs, batchSize } = run;
	if (performance.now() - sampledMs < SAMPLE_EVERY_MS) return;
	sampledMs = performance.now();
	latencyPlot.add({ ...latencyMs, epoch, budget: framePeriodMs });
	ratePlot.add({ fps, epoch });
	// A batch may take as long as its frames last.
	streamsPlot.add({ main: mainStreamMs, side: sideStreamMs, epoch, budget: batchSize * framePeriodMs });
};

const LOG_EVERY_MS = 2000;

const log = element('log');
const showLog = async () => {
	if (!log.open || document.hidden) return;
	const lines = element('log-lines');
	const text = await logLines().catch(() => undefined); // the sidecar is away, as the status says
	if (text === undefined || lines.textContent === text.join('\n')) return;
	const isAtEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 8;
	lines.textContent = text.join('\n');
	if (isAtEnd) lines.scrollTop = lines.scrollHeight;
};
log.addEventListener('toggle', () => void showLog());
setInterval(() => void showLog(), LOG_EVERY_MS);

const veilWith = (text) => {
	veil.classList.toggle('shown', text !== undefined);
	if (text !== undefined) veil.textContent = text;
};

const show = (newest) => {
	state = newest;
	showChannels(state);
	showControl(state.control);
	modifiers.show({
		modifiers: state.modifiers,
		prompt: prompt.text,
		// A picture without words has no place for more.
		isPainting: state.control.style !== PASSTHROUGH && !(state.control.reference && state.control.prompt === ''),
	});
	reference.show(state);
	showRun(state.run);
	scenes.follow(state.scenesRevision);
	fleet.follow(state.remote);
};

// -- Joining -----------------------------------------------------------------------------------------

veilWith('Waiting for the first frame');
const stage = openStage({
	stage: element('stage'),
	source: element('source'),
	painting: element('painting'),
	divider: element('divider'),
});

watch((message) => {
	const frame = readFrame(message);
	if (!frame) return;
	shownEpoch = frame.epoch;
	body.dataset.epoch = String(frame.epoch);
	if (body.dataset.link === 'open') veilWith(undefined);
	stage.show(frame);
});

listen({
	onState: (newest) => {
		if (body.dataset.link !== 'open') {
			body.dataset.link = 'open';
			veilWith(shownEpoch === undefined ? 'Waiting for the first frame' : undefined);
			presetsRevision = undefined;
			scenes.forget();
		}
		if (newest.control.presetsRevision !== presetsRevision) {
			presetsRevision = newest.control.presetsRevision;
			void loadStyles().catch(() => {}); // the connection is lost again, and so it will come again
		}
		show(newest);
		plot(newest);
	},
	onLost: () => {
		body.dataset.link = 'lost';
		element('status-text').textContent = 'reconnecting';
		veilWith('The sidecar does not answer. Trying again.');
	},
});

// -- Controls ----------------------------------------------------------------------------------------

strength.addEventListener('input', () => {
	element('strength-value').textContent = `${Math.round(strength.valueAsNumber * 100)} %`;
	moveStrength({ type: 'strength', value: strength.valueAsNumber });
});
fade.addEventListener('input', () => moveFade({ type: 'fade', seconds: fade.valueAsNumber }));
seed.addEventListener('change', () => {
	if (Number.isInteger(seed.valueAsNumber)) void ask({ type: 'seed', value: seed.valueAsNumber });
});
panic.addEventListener('click', () => void ask({ type: 'panic', on: !state?.control.panic }));
element('tap').addEventListener('pointerdown', () => void ask({ type: 'tap' }));
element('tap').addEventListener('keydown', ({ key, repeat }) => {
	if (!repeat && (key === 'Enter' || key === ' ')) void ask({ type: 'tap' });
});
quantise.addEventListener('change', () => void ask({ type: 'quantise', to: quantise.value }));
region.addEventListener('change', () => void ask({ type: 'region', region: region.value }));
element('new-strokes').addEventListener('click', () => void ask({ type: 'newStrokes' }));

document.addEventListener('keydown', (event) => {
	if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
	if (event.target.matches('input:not([type=range], [type=checkbox]), select, textarea')) return;
	const key = event.key.toLowerCase();
	const name = styles.named(key);
	const commands = {
		'[': { type: 'previous' },
		']': { type: 'next' },
		n: { type: 'newStrokes' },
		t: { type: 'tap' },
		p: { type: 'panic', on: !state?.control.panic },
	};
	if (name) void ask({ type: 'style', name });
	else if (key === 'l' && state?.takesReferences) void takeFrame();
	else if (Object.hasOwn(commands, key)) void ask(commands[key]);
});
