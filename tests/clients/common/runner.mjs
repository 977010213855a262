// Runs the checks: a line each, then a count.

const tests = [];

/** A check; its function gets the stage. */
export function test(name, body) {
  tests.push({ name, body });
}

export async function runAll(stage) {
  const wanted = process.argv.slice(2);
  const chosen = tests.filter(({ name }) => !wanted.length || wanted.some((word) => name.includes(word)));
  let failed = 0;
  for (const { name, body } of chosen) {
    const since = performance.now();
    const seconds = () => `${((performance.now() - since) / 1000).toFixed(1)} s`;
    try {
      await within(90_000, body(stage));
      stage.requireNoTrouble?.();
      console.log(`ok      ${name} (${seconds()})`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED  ${name} (${seconds()})`);
      for (const line of reasons(error, stage.takeTrouble?.() ?? [])) console.log(`        ${line}`);
    }
  }
  await stage.close?.();
  console.log(`${chosen.length - failed} passed, ${failed} failed`);
  return failed ? 1 : 0;
}

function within(milliseconds, work) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done in ${milliseconds / 1000} s`)), milliseconds);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

function reasons(error, trouble) {
  const where = [...(error.stack ?? "").matchAll(/\/((?:checks|lib)\/\w+\.mjs:\d+)/g)].map((match) => match[1]);
  const text = String(error.message ?? error).split("\n").slice(0, 40);
  const because = error.cause ? [`because: ${error.cause.message ?? JSON.stringify(error.cause)}`] : [];
  return [...text, ...because, `at ${where.join(" < ")}`, ...trouble.map((one) => `and: ${one}`)];
}
