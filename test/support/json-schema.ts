import { Ajv2020 } from 'ajv/dist/2020.js';
import type { OpenApiDocument } from '../../sidecar/control/http/openapi.ts';

/** What is wrong with a value by a schema of the document; undefined where nothing is. */
export const complaintsOf = (document: OpenApiDocument, schema: object, value: unknown): unknown => {
	const ajv = new Ajv2020({ strictSchema: true, allErrors: true, keywords: ['unit', 'components'] });
	ajv.addSchema({ $id: 'document', components: document.components }, 'document');
	const text = JSON.stringify(schema).replaceAll('"#/components/', '"document#/components/');
	const isRight = ajv.compile(JSON.parse(text) as object);
	return isRight(value) ? undefined : isRight.errors;
};
