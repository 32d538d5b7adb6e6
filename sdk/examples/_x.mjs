import {parquetMetadataAsync,asyncBufferFromFile,parquetRead,parquetSchema} from 'hyparquet';
import {compressors} from 'hyparquet-compressors';
const f=await asyncBufferFromFile('/work/main/node_modules/vega-datasets/data/flights-3m.parquet');
const D=new Float64Array(3e6),L=new Float64Array(3e6),S=new Float64Array(3e6),O=[],T=[];
await parquetRead({file:f,compressors,onChunk:c=>{const a={date:D,delay:L,distance:S,origin:O,destination:T}[c.columnName]; for(let i=0;i<c.columnData.length;i++)a[c.rowStart+i]=a===D?+c.columnData[i]:a===O||a===T?c.columnData[i]:Number(c.columnData[i])}});
let uns=0,mins=new Int32Array(60),hr=new Int32Array(24),hl=new Int32Array(24),late=0,q=[]; const days={};
for(let i=0;i<3e6;i++){if(i&&D[i]<D[i-1])uns++; const d=new Date(D[i]); mins[d.getUTCMinutes()]++; hr[d.getUTCHours()]++; const l=L[i]>15; late+=l; hl[d.getUTCHours()]+=l; const k=d.toISOString().slice(0,7); (days[k]??=[0,0])[0]++; days[k][1]+=l}
console.log({uns,late:late/3e6,first:new Date(D[0]),last:new Date(D[2999999]),origins:new Set(O).size,dests:new Set(T).size});
console.log('mins',mins.join()); console.log('hr',[...hr].map((n,i)=>`${i}:${n}:${(hl[i]/n).toFixed(3)}`).join(' '));console.log(days);
const Ls=L.slice().sort(); console.log([0,.001,.01,.05,.25,.5,.75,.8,.95,.99,.999].map(p=>Ls[Math.floor(p*3e6)]),Ls[2999999]);
// scheduled guess: date - delay minutes
const m2=new Int32Array(60); for(let i=0;i<3e6;i++){m2[new Date(D[i]-L[i]*6e4).getUTCMinutes()]++} console.log('date-delay mins',m2.join());
const w={}; for(let i=0;i<3e6;i++){const k=new Date(D[i]).toISOString().slice(0,10);(w[k]??=[0,0])[0]++;w[k][1]+=L[i]>15} console.log(Object.entries(w).map(([k,v])=>k.slice(5)+':'+v[0]+':'+(v[1]/v[0]).toFixed(2)).join(' '));
console.log('self',O.filter((o,i)=>o===T[i]).length, 'dmin',Math.min(...S.slice(0,1e5)));
const rd=new Map();let inc=0;for(let i=0;i<3e6;i++){const k=O[i]+T[i];if(rd.has(k)&&rd.get(k)!==S[i])inc++;else rd.set(k,S[i])}console.log('routes',rd.size,'inconsistent',inc);
let bym=[[0,0],[0,0]];for(let i=0;i<3e6;i++){const z=new Date(D[i]).getUTCMinutes()%5===0?0:1;bym[z][0]++;bym[z][1]+=L[i]>15}console.log(bym.map(x=>[x[0],x[1]/x[0]]));
let sm=new Float64Array(3e6).map((_,i)=>S[i]).sort();console.log('dist',sm[0],sm[1.5e6],sm[2999999]);
